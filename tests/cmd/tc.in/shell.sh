DEV=eth0
tc qdisc add dev $DEV root cake
