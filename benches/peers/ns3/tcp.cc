// ns-3 on the workload of `cargo bench --bench tcp`: 40 CUBIC flows through 10 Gbps, 20 of them on through 1 Gbps.
//
//     tcp SECONDS
//
// Prints the packet transmissions. As a user of ns-3 builds it: BulkSendApplication over TcpCubic, PointToPoint devices with
// drop-tail queues of 500 packets, global routing; the queueing disciplines above the devices are taken out. Segments of 1448 B,
// an initial window of 10, buffers of 6 MB (receiving) and 4 MB (sending), delayed acknowledgements and SACK as ns-3 has them.
//
// Build (ns-3 3.37): g++ -O3 -std=c++17 tcp.cc -o tcp -lns3-internet -lns3-point-to-point -lns3-network -lns3-applications -lns3-traffic-control -lns3-core
//     -lns3-applications -lns3-traffic-control

#include "ns3/applications-module.h"
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"
#include "ns3/traffic-control-module.h"

#include <cstdio>
#include <cstdlib>

using namespace ns3;

static uint64_t transmissions = 0;

static void
Transmitted(Ptr<const Packet>)
{
    ++transmissions;
}

int
main(int argc, char** argv)
{
    const uint32_t flows = 40;
    const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
    Config::SetDefault("ns3::TcpL4Protocol::SocketType", StringValue("ns3::TcpCubic"));
    Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(1448));
    Config::SetDefault("ns3::TcpSocket::InitialCwnd", UintegerValue(10));
    Config::SetDefault("ns3::TcpSocket::RcvBufSize", UintegerValue(6291456));
    Config::SetDefault("ns3::TcpSocket::SndBufSize", UintegerValue(4194304));

    NodeContainer routers(3), senders(flows), receivers(flows);
    InternetStackHelper stack;
    stack.InstallAll();

    PointToPointHelper fast, slow;
    for (auto* link : {&fast, &slow})
    {
        link->SetChannelAttribute("Delay", StringValue("10us"));
        link->SetQueue("ns3::DropTailQueue", "MaxSize", StringValue("500p"));
    }
    fast.SetDeviceAttribute("DataRate", StringValue("10Gbps"));
    slow.SetDeviceAttribute("DataRate", StringValue("1Gbps"));

    Ipv4AddressHelper addresses("10.1.0.0", "255.255.255.0");
    TrafficControlHelper control;
    auto connect = [&](PointToPointHelper& link, Ptr<Node> a, Ptr<Node> b) {
        NetDeviceContainer devices = link.Install(a, b);
        Ipv4InterfaceContainer interfaces = addresses.Assign(devices);
        control.Uninstall(devices);
        addresses.NewNetwork();
        for (uint32_t i = 0; i < 2; ++i)
        {
            devices.Get(i)->TraceConnectWithoutContext("PhyTxBegin", MakeCallback(&Transmitted));
        }
        return interfaces.GetAddress(1);
    };
    connect(fast, routers.Get(0), routers.Get(1));
    connect(slow, routers.Get(1), routers.Get(2));
    for (uint32_t flow = 0; flow < flows; ++flow)
    {
        connect(fast, senders.Get(flow), routers.Get(0));
        Ptr<Node> last = routers.Get(flow < flows / 2 ? 1 : 2);
        Ipv4Address to = connect(fast, last, receivers.Get(flow));
        BulkSendHelper sender("ns3::TcpSocketFactory", InetSocketAddress(to, 5001));
        sender.SetAttribute("SendSize", UintegerValue(65536));
        sender.Install(senders.Get(flow)).Start(MilliSeconds(flow));
        PacketSinkHelper sink("ns3::TcpSocketFactory", InetSocketAddress(Ipv4Address::GetAny(), 5001));
        sink.Install(receivers.Get(flow)).Start(Seconds(0));
    }
    Ipv4GlobalRoutingHelper::PopulateRoutingTables();
    Simulator::Stop(Seconds(seconds));
    Simulator::Run();
    Simulator::Destroy();
    std::printf("%llu\n", static_cast<unsigned long long>(transmissions));
    return 0;
}
