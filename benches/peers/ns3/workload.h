// The workload that all simulators of the bench run (benches/workload.rs in C++): topology, routes, splitmix64 streams.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

constexpr uint32_t PACKET_BYTES = 1000;
constexpr uint64_t TRANSMISSION_NS = 8000; // 1000 B at 1 Gbps
constexpr uint64_t HOP_NS = 10000;         // the propagation delay of a link

// splitmix64, seeded by the host.
class Random
{
  public:
    explicit Random(uint32_t host)
        : m_state(12345 + (uint64_t(host) + 1) * 0xd1b54a32d192ed03)
    {
    }

    uint64_t Next()
    {
        m_state += 0x9e3779b97f4a7c15;
        uint64_t z = m_state;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    // An exponential gap, rounded to nanoseconds.
    uint64_t Gap(double meanNs)
    {
        double uniform = double((Next() >> 11) + 1) * (1.0 / 9007199254740992.0);
        return uint64_t(-std::log(uniform) * meanNs + 0.5);
    }

  private:
    uint64_t m_state;
};

// One network with its senders. Hosts are the first nodes; a port is one direction of a link.
struct Workload
{
    int hosts = 0;
    int nodes = 0;
    std::vector<int> from;  // per port: its node
    std::vector<int> to;    // per port: the node that it leads to
    std::vector<int> route; // [nodes][hosts]: the port, -1 at the destination
    std::vector<int> senders;
    int onlyDestination = -1;
    double meanGapNs = 0;

    static Workload Named(const std::string& name)
    {
        if (name == "line1")
        {
            return Line();
        }
        int k = name.rfind("ft", 0) == 0 ? std::atoi(name.c_str() + 2) : 0;
        if (k < 2 || k % 2 != 0)
        {
            throw std::invalid_argument("no such workload: " + name + " (line1, ft4, ft8, ...)");
        }
        return FatTree(k);
    }

    int Port(int node, int destination) const
    {
        return route[size_t(node) * hosts + destination];
    }

    // The same link, the other way; -1 where the workload has none.
    int Reverse(int port) const
    {
        for (size_t other = 0; other < to.size(); other++)
        {
            if (from[other] == to[port] && to[other] == from[port])
            {
                return int(other);
            }
        }
        return -1;
    }

    // The transmissions of a packet.
    int Hops(int host, int destination) const
    {
        int hops = 0;
        for (int node = host; node != destination; hops++)
        {
            node = to[Port(node, destination)];
        }
        return hops;
    }

  private:
    Workload(int hostCount, int nodeCount)
        : hosts(hostCount),
          nodes(nodeCount),
          route(size_t(nodeCount) * hostCount, -1)
    {
    }

    // Adds a port, and routes to it every destination that `serves` holds for.
    template <typename Serves>
    void Add(int node, int neighbour, Serves serves)
    {
        from.push_back(node);
        to.push_back(neighbour);
        for (int host = 0; host < hosts; host++)
        {
            if (serves(host))
            {
                route[size_t(node) * hosts + host] = int(to.size()) - 1;
            }
        }
    }

    // host - 4 switches - host.
    static Workload Line()
    {
        Workload workload(2, 6);
        const int path[] = {0, 2, 3, 4, 5, 1};
        for (int place = 0; place < 5; place++)
        {
            workload.Add(path[place], path[place + 1], [](int host) { return host == 1; });
        }
        workload.senders = {0};
        workload.onlyDestination = 1;
        workload.meanGapNs = 8000.0 / 0.7;
        return workload;
    }

    // A k-ary fat tree with D-mod-k routes.
    static Workload FatTree(int k)
    {
        const int half = k / 2;
        const int hosts = k * half * half;
        const int edges = k * half;
        Workload workload(hosts, hosts + 2 * edges + half * half);
        auto edge = [=](int pod, int number) { return hosts + pod * half + number; };
        auto aggregation = [=](int pod, int number) { return hosts + edges + pod * half + number; };
        auto core = [=](int group, int number) { return hosts + 2 * edges + group * half + number; };
        auto edgeOf = [=](int host) { return edge(host / (half * half), host / half % half); };

        for (int x = 0; x < hosts; x++)
        {
            workload.Add(x, edgeOf(x), [=](int host) { return host != x; });
        }
        for (int pod = 0; pod < k; pod++)
        {
            for (int e = 0; e < half; e++)
            {
                for (int a = 0; a < half; a++)
                {
                    workload.Add(edge(pod, e), aggregation(pod, a), [=](int host) {
                        return host / half != pod * half + e && host % half == a;
                    });
                }
            }
            for (int a = 0; a < half; a++)
            {
                for (int j = 0; j < half; j++)
                {
                    workload.Add(aggregation(pod, a), core(a, j), [=](int host) {
                        return host / (half * half) != pod && host / half % half == j;
                    });
                }
            }
        }
        for (int a = 0; a < half; a++)
        {
            for (int j = 0; j < half; j++)
            {
                for (int pod = 0; pod < k; pod++)
                {
                    workload.Add(core(a, j), aggregation(pod, a), [=](int host) {
                        return host / (half * half) == pod;
                    });
                }
            }
        }
        for (int pod = 0; pod < k; pod++)
        {
            for (int a = 0; a < half; a++)
            {
                for (int e = 0; e < half; e++)
                {
                    workload.Add(aggregation(pod, a), edge(pod, e), [=](int host) {
                        return host / half == pod * half + e;
                    });
                }
            }
        }
        for (int x = 0; x < hosts; x++)
        {
            workload.Add(edgeOf(x), x, [=](int host) { return host == x; });
            workload.senders.push_back(x);
        }
        workload.meanGapNs = 16000.0;
        return workload;
    }
};

// A sending host: per packet one gap, then one destination.
class Sender
{
  public:
    Sender(const Workload& workload, int host, uint32_t packets)
        : m_workload(workload),
          m_random(host),
          m_host(host),
          m_left(packets)
    {
        m_timeNs = m_random.Gap(workload.meanGapNs);
    }

    int Host() const
    {
        return m_host;
    }

    bool HasPacket() const
    {
        return m_left > 0;
    }

    // When the next packet is sent.
    uint64_t TimeNs() const
    {
        return m_timeNs;
    }

    // Its number.
    uint32_t Sequence() const
    {
        return m_sequence;
    }

    // Its destination; called once for each packet.
    int Destination()
    {
        if (m_workload.onlyDestination >= 0)
        {
            return m_workload.onlyDestination;
        }
        int other = int(m_random.Next() % uint64_t(m_workload.hosts - 1));
        return other >= m_host ? other + 1 : other;
    }

    // Goes on to the packet after it.
    void Advance()
    {
        m_sequence++;
        if (--m_left > 0)
        {
            m_timeNs += m_random.Gap(m_workload.meanGapNs);
        }
    }

  private:
    const Workload& m_workload;
    Random m_random;
    int m_host;
    uint32_t m_left;
    uint32_t m_sequence = 0;
    uint64_t m_timeNs;
};
