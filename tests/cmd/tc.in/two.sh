tc qdisc add dev eth0 root tbf rate 10mbit burst 2000 latency 50ms
tc qdisc add dev eth1 root pfifo limit 100
