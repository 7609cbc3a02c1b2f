// ns-3 on the shared workload: packet transmissions per CPU-second, or when each packet reaches each node.
//
//     bench full|raw line1|ft4|ft8|... PACKETS [ARRIVALS.csv]
//
// `full` is what a user of ns-3 builds: UDP sockets over its IPv4 stack with static routes (one per destination host at
// every switch). `raw` is the least that its packets and devices allow: PointToPointNetDevice with a forwarding table of
// our own. Queues are unlimited in both; the queueing disciplines above the devices are taken out.
//
// With a file, each packet's arrival at each node is written to it (CSV: host, seq, node, arrival_ns; the first node of a
// packet is the host that sends it, the last its destination), and the time that is printed means nothing.
//
// Build (ns-3 3.37): see ../run.sh.

#include "workload.h"

#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"
#include "ns3/traffic-control-module.h"

#include <cstdio>
#include <ctime>
#include <memory>

using namespace ns3;

// What a packet carries: who sent it, when, and whereto.
class Origin : public Header
{
  public:
    static constexpr uint32_t BYTES = 20;

    uint64_t sentNs = 0;
    uint32_t host = 0;
    uint32_t sequence = 0;
    uint32_t destination = 0;

    static TypeId GetTypeId()
    {
        static TypeId id = TypeId("taunet::Origin").SetParent<Header>().AddConstructor<Origin>();
        return id;
    }

    TypeId GetInstanceTypeId() const override
    {
        return GetTypeId();
    }

    void Print(std::ostream& out) const override
    {
        out << host << " " << sequence;
    }

    uint32_t GetSerializedSize() const override
    {
        return BYTES;
    }

    void Serialize(Buffer::Iterator place) const override
    {
        place.WriteU64(sentNs);
        place.WriteU32(host);
        place.WriteU32(sequence);
        place.WriteU32(destination);
    }

    uint32_t Deserialize(Buffer::Iterator place) override
    {
        sentNs = place.ReadU64();
        host = place.ReadU32();
        sequence = place.ReadU32();
        destination = place.ReadU32();
        return BYTES;
    }
};

constexpr uint32_t PPP_BYTES = 2;
constexpr uint32_t IP_UDP_BYTES = 28;
constexpr uint16_t UDP_PORT = 9;

static uint64_t
NowNs()
{
    return uint64_t(Simulator::Now().GetNanoSeconds());
}

// The network and what is counted in it. The modes differ in how a packet is sent and forwarded.
class Bench
{
  public:
    Bench(const Workload& workload, uint32_t packets, std::FILE* arrivals)
        : m_workload(workload),
          m_arrivals(arrivals)
    {
        for (int host : workload.senders)
        {
            m_senders.push_back(std::make_unique<Sender>(workload, host, packets));
        }
    }

    virtual ~Bench() = default;

    void Build()
    {
        m_nodes.Create(m_workload.nodes);
        PointToPointHelper helper;
        helper.SetDeviceAttribute("DataRate", StringValue("1Gbps"));
        helper.SetChannelAttribute("Delay", StringValue("10us"));
        helper.SetQueue("ns3::DropTailQueue<Packet>", "MaxSize", StringValue("10000000p"));
        m_devices.resize(m_workload.to.size());
        for (size_t port = 0; port < m_devices.size(); port++)
        {
            if (!m_devices[port])
            {
                NetDeviceContainer ends = helper.Install(m_nodes.Get(m_workload.from[port]),
                                                         m_nodes.Get(m_workload.to[port]));
                m_devices[port] = ends.Get(0);
                int reverse = m_workload.Reverse(int(port));
                if (reverse >= 0)
                {
                    m_devices[reverse] = ends.Get(1);
                }
                m_links.emplace_back(int(port), ends);
            }
        }
        Connect();
        for (auto& sender : m_senders)
        {
            if (sender->HasPacket())
            {
                Simulator::ScheduleWithContext(sender->Host(),
                                               NanoSeconds(sender->TimeNs()),
                                               &Bench::SendNext,
                                               this,
                                               sender.get());
            }
        }
    }

    uint64_t Delivered() const
    {
        return m_delivered;
    }

    double MeanDelayUs() const
    {
        return double(m_delayNs) / double(m_delivered) / 1e3;
    }

  protected:
    // Puts the network layer on the devices.
    virtual void Connect() = 0;
    // The bytes of a packet that are not its own: headers that the network layer adds.
    virtual uint32_t HeaderBytes() const = 0;
    virtual void Send(Ptr<Packet> packet, const Origin& origin) = 0;

    void Deliver(const Origin& origin)
    {
        m_delivered++;
        m_delayNs += NowNs() - origin.sentNs;
    }

    void Reached(const Origin& origin, uint32_t node)
    {
        std::fprintf(m_arrivals,
                     "%u,%u,%u,%lu\n",
                     origin.host,
                     origin.sequence,
                     node,
                     (unsigned long)NowNs());
    }

    const Workload& m_workload;
    NodeContainer m_nodes;
    // Per port of the workload.
    std::vector<Ptr<NetDevice>> m_devices;
    // A port of each link, and the devices at its two ends: the port's own first.
    std::vector<std::pair<int, NetDeviceContainer>> m_links;
    std::FILE* m_arrivals;

  private:
    void SendNext(Sender* sender)
    {
        Origin origin;
        origin.sentNs = sender->TimeNs();
        origin.host = sender->Host();
        origin.sequence = sender->Sequence();
        origin.destination = sender->Destination();
        sender->Advance();
        if (sender->HasPacket())
        {
            Time gap = NanoSeconds(sender->TimeNs() - origin.sentNs);
            Simulator::Schedule(gap, &Bench::SendNext, this, sender);
        }
        if (m_arrivals)
        {
            Reached(origin, origin.host);
        }
        Ptr<Packet> packet =
            Create<Packet>(PACKET_BYTES - PPP_BYTES - HeaderBytes() - Origin::BYTES);
        packet->AddHeader(origin);
        Send(packet, origin);
    }

    std::vector<std::unique_ptr<Sender>> m_senders;
    uint64_t m_delivered = 0;
    uint64_t m_delayNs = 0;
};

// Devices with a forwarding table of our own.
class RawBench : public Bench
{
  public:
    using Bench::Bench;

  protected:
    uint32_t HeaderBytes() const override
    {
        return 0;
    }

    void Connect() override
    {
        for (auto& [port, ends] : m_links)
        {
            for (uint32_t end = 0; end < 2; end++)
            {
                ends.Get(end)->SetReceiveCallback(MakeCallback(&RawBench::Receive, this));
            }
        }
    }

    void Send(Ptr<Packet> packet, const Origin& origin) override
    {
        Forward(packet, origin, origin.host);
    }

  private:
    void Forward(Ptr<Packet> packet, const Origin& origin, int node)
    {
        int port = m_workload.Port(node, origin.destination);
        m_devices[port]->Send(packet, Mac48Address(), Ipv4L3Protocol::PROT_NUMBER);
    }

    bool Receive(Ptr<NetDevice> device, Ptr<const Packet> packet, uint16_t, const Address&)
    {
        uint32_t node = device->GetNode()->GetId();
        Origin origin;
        packet->PeekHeader(origin);
        if (m_arrivals)
        {
            Reached(origin, node);
        }
        if (origin.destination == node)
        {
            Deliver(origin);
        }
        else
        {
            Forward(ConstCast<Packet>(packet), origin, node);
        }
        return true;
    }
};

// UDP sockets over IPv4 with static routes.
class FullBench : public Bench
{
  public:
    using Bench::Bench;

  protected:
    uint32_t HeaderBytes() const override
    {
        return IP_UDP_BYTES;
    }

    void Connect() override
    {
        InternetStackHelper stack;
        stack.SetRoutingHelper(m_routing);
        stack.SetIpv6StackInstall(false);
        stack.Install(m_nodes);
        GiveAddresses();
        AddRoutes();
        for (int host = 0; host < m_workload.hosts; host++)
        {
            Ptr<Socket> socket =
                Socket::CreateSocket(m_nodes.Get(host), UdpSocketFactory::GetTypeId());
            socket->Bind(InetSocketAddress(Ipv4Address::GetAny(), UDP_PORT));
            socket->SetRecvCallback(MakeCallback(&FullBench::Receive, this));
            socket->SetAttribute("RcvBufSize", UintegerValue(1u << 30));
            m_sockets.push_back(socket);
        }
        if (m_arrivals)
        {
            WatchDevices();
        }
    }

    void Send(Ptr<Packet> packet, const Origin& origin) override
    {
        InetSocketAddress to(m_addresses[origin.destination], UDP_PORT);
        m_sockets[origin.host]->SendTo(packet, 0, to);
    }

  private:
    // A /30 per link.
    void GiveAddresses()
    {
        Ipv4AddressHelper addresses;
        TrafficControlHelper trafficControl;
        m_addresses.resize(m_workload.hosts);
        m_gateways.resize(m_workload.to.size());
        uint32_t network = 0x0a000000;
        for (auto& [port, ends] : m_links)
        {
            addresses.SetBase(Ipv4Address(network), "255.255.255.252");
            network += 4;
            Ipv4InterfaceContainer interfaces = addresses.Assign(ends);
            trafficControl.Uninstall(ends);
            m_gateways[port] = interfaces.GetAddress(1);
            int reverse = m_workload.Reverse(port);
            if (reverse >= 0)
            {
                m_gateways[reverse] = interfaces.GetAddress(0);
            }
            if (m_workload.from[port] < m_workload.hosts)
            {
                m_addresses[m_workload.from[port]] = interfaces.GetAddress(0);
            }
            if (m_workload.to[port] < m_workload.hosts)
            {
                m_addresses[m_workload.to[port]] = interfaces.GetAddress(1);
            }
        }
    }

    void AddRoutes()
    {
        for (int node = 0; node < m_workload.nodes; node++)
        {
            Ptr<Ipv4> ip = m_nodes.Get(node)->GetObject<Ipv4>();
            Ptr<Ipv4StaticRouting> table = m_routing.GetStaticRouting(ip);
            if (node < m_workload.hosts)
            {
                table->SetDefaultRoute(Ipv4Address::GetZero(), 1);
                continue;
            }
            for (int host = 0; host < m_workload.hosts; host++)
            {
                int port = m_workload.Port(node, host);
                if (port >= 0)
                {
                    int interface = ip->GetInterfaceForDevice(m_devices[port]);
                    table->AddHostRouteTo(m_addresses[host], m_gateways[port], interface);
                }
            }
        }
    }

    void Receive(Ptr<Socket> socket)
    {
        while (Ptr<Packet> packet = socket->Recv())
        {
            Origin origin;
            packet->PeekHeader(origin);
            Deliver(origin);
        }
    }

    void WatchDevices()
    {
        for (auto& [port, ends] : m_links)
        {
            for (uint32_t end = 0; end < 2; end++)
            {
                uint32_t node = ends.Get(end)->GetNode()->GetId();
                auto watch = MakeCallback(&FullBench::DeviceReceives, this).Bind(node);
                ends.Get(end)->TraceConnectWithoutContext("PhyRxEnd", watch);
            }
        }
    }

    void DeviceReceives(uint32_t node, Ptr<const Packet> frame)
    {
        Ptr<Packet> packet = frame->Copy();
        packet->RemoveAtStart(PPP_BYTES + IP_UDP_BYTES);
        Origin origin;
        packet->PeekHeader(origin);
        Reached(origin, node);
    }

    Ipv4StaticRoutingHelper m_routing;
    std::vector<Ipv4Address> m_addresses; // per host
    std::vector<Ipv4Address> m_gateways;  // per port: the address at its other end
    std::vector<Ptr<Socket>> m_sockets;   // per host
};

// The transmissions that the packets of all senders need.
static uint64_t
CountHops(const Workload& workload, uint32_t packets)
{
    uint64_t hops = 0;
    for (int host : workload.senders)
    {
        for (Sender sender(workload, host, packets); sender.HasPacket(); sender.Advance())
        {
            hops += workload.Hops(host, sender.Destination());
        }
    }
    return hops;
}

static double
CpuSeconds()
{
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return double(time.tv_sec) + double(time.tv_nsec) / 1e9;
}

static int
Main(const std::string& mode, const std::string& name, uint32_t packets, const char* path)
{
    Workload workload = Workload::Named(name);
    uint32_t each = packets / uint32_t(workload.senders.size());
    std::FILE* arrivals = path ? std::fopen(path, "w") : nullptr;
    if (path && !arrivals)
    {
        throw std::invalid_argument(std::string("cannot write ") + path);
    }
    if (arrivals)
    {
        std::fprintf(arrivals, "host,seq,node,arrival_ns\n");
    }

    std::unique_ptr<Bench> bench;
    if (mode == "full")
    {
        bench = std::make_unique<FullBench>(workload, each, arrivals);
    }
    else if (mode == "raw")
    {
        bench = std::make_unique<RawBench>(workload, each, arrivals);
    }
    else
    {
        throw std::invalid_argument("no such mode: " + mode + " (full, raw)");
    }
    bench->Build();

    double start = CpuSeconds();
    Simulator::Run();
    double cpu = CpuSeconds() - start;
    Simulator::Destroy();
    if (arrivals)
    {
        std::fclose(arrivals);
    }

    uint64_t hops = CountHops(workload, each);
    std::printf("engine=ns3-%s workload=%s packets=%lu hops=%lu cpu_s=%.4f mhops_per_cpu_s=%.4f mean_delay_us=%.4f\n",
                mode.c_str(),
                name.c_str(),
                (unsigned long)bench->Delivered(),
                (unsigned long)hops,
                cpu,
                double(hops) / cpu / 1e6,
                bench->MeanDelayUs());
    return bench->Delivered() == uint64_t(each) * workload.senders.size() ? 0 : 1;
}

int
main(int count, char** arguments)
{
    if (count < 4)
    {
        std::fprintf(stderr, "bench full|raw line1|ft4|ft8 PACKETS [ARRIVALS.csv]\n");
        return 2;
    }
    try
    {
        return Main(arguments[1],
                    arguments[2],
                    uint32_t(std::atoi(arguments[3])),
                    count > 4 ? arguments[4] : nullptr);
    }
    catch (const std::invalid_argument& error)
    {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
