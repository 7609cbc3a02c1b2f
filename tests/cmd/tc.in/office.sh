#!/bin/sh
# An office behind 20 Mbit/s: voice first, the web with queues of its own, and the rest.
tc qdisc del dev eth0 root
tc qdisc add dev eth0 root handle 1: htb default 30
tc class add dev eth0 parent 1: classid 1:1 htb rate 20mbit burst 15k
tc class add dev eth0 parent 1:1 classid 1:10 htb rate 2mbit ceil 20mbit prio 0
tc class add dev eth0 parent 1:1 classid 1:20 htb rate 10mbit ceil 20mbit prio 1
tc class add dev eth0 parent 1:1 classid 1:30 htb rate 8mbit ceil 20mbit \
    prio 2 quantum 1514
tc qdisc add dev eth0 parent 1:10 pfifo limit 50
tc qdisc add dev eth0 parent 1:20 handle 20: fq_codel
tc filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dsfield 0xb8 0xfc flowid 1:10
tc filter add dev eth0 parent 1: protocol ip prio 2 u32 \
    match ip protocol 6 0xff match ip sport 80 0xffff flowid 1:20
tc filter add dev eth0 parent 1: protocol ip prio 2 u32 \
    match ip protocol 6 0xff match ip sport 443 0xffff flowid 1:20
