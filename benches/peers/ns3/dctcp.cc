// ns-3's `dctcp-example` (examples/tcp/dctcp-example.cc of 3.37), for `cargo bench --bench tcp -- --workload dctcp`, and to find out
// what its figures depend on.
//
//     dctcp SECONDS [SEGMENTS_PER_ACK [DEVICE_QUEUE]]
//
// Prints the packet transmissions, then goodputs, fairness and queues of the last second. The network, the flows and their starts
// are those of the example; its figures at 5 s: 23, 471 and 74 Mbps, queues of 1 ms and 200 us. Receivers acknowledge every second
// segment (DelAckCount), unless SEGMENTS_PER_ACK is 1. Below each RED queue the device has a queue of its own, which RED does not see:
// of 100 packets, unless DEVICE_QUEUE says another, such as `1p`.
//
// Build (ns-3 3.37): g++ -O2 -std=c++17 dctcp.cc -o dctcp -lns3-internet -lns3-point-to-point -lns3-network -lns3-applications -lns3-traffic-control -lns3-core
//     -lns3-applications -lns3-traffic-control

#include "ns3/applications-module.h"
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"
#include "ns3/traffic-control-module.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace ns3;

static uint64_t transmissions = 0;

static void
Transmitted(Ptr<const Packet>)
{
    ++transmissions;
}

// Flows from hosts of their own to a shared receiver, or to one each.
struct Group
{
    const char* name;
    std::vector<Ptr<PacketSink>> sinks;
    std::vector<uint64_t> before;

    void Mark()
    {
        before.clear();
        for (auto& sink : sinks)
        {
            before.push_back(sink->GetTotalRx());
        }
    }

    void Print() const
    {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < sinks.size(); ++i)
        {
            double rate = double(sinks[i]->GetTotalRx() - before[i]) * 8e-6;
            sum += rate;
            squares += rate * rate;
        }
        double flows = double(sinks.size());
        std::printf("%s: %.1f Mbps, Jain's index %.4f\n", name, sum / flows, sum * sum / (flows * squares));
    }
};

// What waits in a RED queue and in the queue of its device, every 100 us.
struct Queues
{
    const char* name;
    Ptr<QueueDisc> red;
    Ptr<Queue<Packet>> device;
    double packetUs;
    uint64_t samples = 0, inRed = 0, inDevice = 0, markedBefore = 0;

    uint64_t Marked() const
    {
        return red->GetStats().nTotalMarkedPackets;
    }

    void Start()
    {
        markedBefore = Marked();
        Sample();
    }

    void Sample()
    {
        ++samples;
        inRed += red->GetNPackets();
        inDevice += device->GetNPackets();
        Simulator::Schedule(MicroSeconds(100), &Queues::Sample, this);
    }

    void Print() const
    {
        double mean = double(inRed) / double(samples), below = double(inDevice) / double(samples);
        std::printf("%s: RED %.1f packets (%.0f us), device %.1f packets (%.0f us), marked %llu\n",
                    name,
                    mean,
                    mean * packetUs,
                    below,
                    below * packetUs,
                    static_cast<unsigned long long>(Marked() - markedBefore));
    }
};

int
main(int argc, char** argv)
{
    const double seconds = argc > 1 ? std::atof(argv[1]) : 5.0;
    const uint32_t segmentsPerAck = argc > 2 ? std::atoi(argv[2]) : 2;
    const std::string deviceQueue = argc > 3 ? argv[3] : "100p";
    Config::SetDefault("ns3::TcpL4Protocol::SocketType", StringValue("ns3::TcpDctcp"));
    Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(1448));
    Config::SetDefault("ns3::TcpSocket::DelAckCount", UintegerValue(segmentsPerAck));
    Config::SetDefault("ns3::RedQueueDisc::UseEcn", BooleanValue(true));
    Config::SetDefault("ns3::RedQueueDisc::UseHardDrop", BooleanValue(false));
    Config::SetDefault("ns3::RedQueueDisc::MeanPktSize", UintegerValue(1500));
    Config::SetDefault("ns3::RedQueueDisc::MaxSize", QueueSizeValue(QueueSize("2666p")));
    Config::SetDefault("ns3::RedQueueDisc::QW", DoubleValue(1));

    NodeContainer switches(2), receiver(1), s1(10), s2(20), s3(10), r2(20);
    Ptr<Node> t1 = switches.Get(0), t2 = switches.Get(1), r1 = receiver.Get(0);
    InternetStackHelper stack;
    stack.InstallAll();

    PointToPointHelper links;
    links.SetChannelAttribute("Delay", StringValue("10us"));
    links.SetQueue("ns3::DropTailQueue", "MaxSize", StringValue(deviceQueue));
    Ipv4AddressHelper addresses("10.1.0.0", "255.255.255.0");
    auto connect = [&](Ptr<Node> a, Ptr<Node> b, const char* rate) {
        links.SetDeviceAttribute("DataRate", StringValue(rate));
        NetDeviceContainer devices = links.Install(a, b);
        for (uint32_t i = 0; i < 2; ++i)
        {
            devices.Get(i)->TraceConnectWithoutContext("PhyTxBegin", MakeCallback(&Transmitted));
        }
        return devices;
    };
    auto mark = [](Ptr<NetDevice> device, double min, double max, const char* rate) {
        TrafficControlHelper red;
        red.SetRootQueueDisc("ns3::RedQueueDisc",
                             "LinkBandwidth",
                             StringValue(rate),
                             "LinkDelay",
                             StringValue("10us"),
                             "MinTh",
                             DoubleValue(min),
                             "MaxTh",
                             DoubleValue(max));
        return red.Install(device).Get(0);
    };
    auto give = [&](NetDeviceContainer devices) {
        Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
        addresses.NewNetwork();
        return interfaces;
    };
    auto device = [](Ptr<NetDevice> it) { return DynamicCast<PointToPointNetDevice>(it)->GetQueue(); };

    NetDeviceContainer trunk = connect(t1, t2, "10Gbps");
    Queues ten{"T1 to T2", mark(trunk.Get(0), 50, 150, "10Gbps"), device(trunk.Get(0)), 1.2};
    mark(trunk.Get(1), 50, 150, "10Gbps");
    give(trunk);
    NetDeviceContainer last = connect(r1, t2, "1Gbps");
    Queues one{"T2 to R1", mark(last.Get(1), 20, 60, "1Gbps"), device(last.Get(1)), 12.0};
    const Ipv4Address toR1 = give(last).GetAddress(0);

    auto edge = [&](Ptr<Node> host, Ptr<Node> node) {
        NetDeviceContainer devices = connect(host, node, "1Gbps");
        mark(devices.Get(1), 20, 60, "1Gbps");
        return give(devices).GetAddress(0);
    };
    auto flow = [&](Group& group, Ptr<Node> from, Ptr<Node> to, Ipv4Address address, uint16_t port, uint32_t startMs) {
        PacketSinkHelper sink("ns3::TcpSocketFactory", InetSocketAddress(Ipv4Address::GetAny(), port));
        ApplicationContainer sinks = sink.Install(to);
        sinks.Start(Seconds(0));
        group.sinks.push_back(DynamicCast<PacketSink>(sinks.Get(0)));
        OnOffHelper sender("ns3::TcpSocketFactory", InetSocketAddress(address, port));
        sender.SetConstantRate(DataRate("1Gbps"), 1000);
        sender.Install(from).Start(MilliSeconds(startMs));
    };
    Group first{"S1 to R1"}, second{"S2 to R2"}, third{"S3 to R1"};
    for (uint32_t i = 0; i < 20; ++i)
    {
        edge(s2.Get(i), t1);
        flow(second, s2.Get(i), r2.Get(i), edge(r2.Get(i), t2), 50000 + i, 55 * i);
    }
    for (uint32_t i = 0; i < 10; ++i)
    {
        edge(s1.Get(i), t1);
        flow(first, s1.Get(i), r1, toR1, 50000 + i, 105 * i);
        edge(s3.Get(i), t2);
        flow(third, s3.Get(i), r1, toR1, 50010 + i, 50 + 105 * i);
    }
    Ipv4GlobalRoutingHelper::PopulateRoutingTables();

    const Time window = Seconds(std::max(0.0, seconds - 1.0));
    for (auto* group : {&first, &second, &third})
    {
        Simulator::Schedule(window, &Group::Mark, group);
    }
    for (auto* queues : {&ten, &one})
    {
        Simulator::Schedule(window, &Queues::Start, queues);
    }
    Simulator::Stop(Seconds(seconds));
    Simulator::Run();
    std::printf("%llu\n", static_cast<unsigned long long>(transmissions));
    for (auto* group : {&first, &second, &third})
    {
        group->Print();
    }
    for (auto* queues : {&ten, &one})
    {
        queues->Print();
    }
    Simulator::Destroy();
    return 0;
}
