//! The attribute names in common use for properties of devices and links.

/// The name of a node.
pub(super) const LABEL: &[&str] = &["label", "name"];
/// The kind of a node.
pub(super) const KIND: &[&str] =
    &["kind", "function", "role", "type", "device_type", "devicetype", "node_type", "nodetype"];
/// The bandwidth of a link.
pub(super) const BANDWIDTH: &[&str] = &[
    "bandwidth",
    "capacity",
    "speed",
    "rate",
    "bw",
    "linkspeed",
    "link_speed",
    "link_bandwidth",
    "link_capacity",
];
/// The propagation delay of a link.
pub(super) const DELAY: &[&str] = &["delay", "latency", "propagation_delay", "link_delay", "prop_delay"];
/// The length of a link.
pub(super) const LENGTH: &[&str] = &["length", "distance", "dist", "link_length"];
/// The packet loss of a link.
pub(super) const LOSS: &[&str] = &["loss", "packet_loss", "loss_rate", "lossrate", "plr"];
/// The buffer of the queue at each end.
pub(super) const BUFFER: &[&str] = &[
    "max_queue_size",
    "txqueuelen",
    "queue_size",
    "queuesize",
    "queue_length",
    "queue",
    "buffer_size",
    "buffersize",
    "buffer",
];
/// The ports of the first end, and of the second.
pub(super) const PORTS: [&[&str]; 2] = [
    &[
        "source_port",
        "sourceport",
        "taillabel",
        "tailport",
        "src_port",
        "srcport",
        "port1",
        "from_port",
        "source_interface",
        "src_interface",
        "intf1",
        "source_if",
    ],
    &[
        "target_port",
        "targetport",
        "headlabel",
        "headport",
        "dst_port",
        "dstport",
        "port2",
        "to_port",
        "target_interface",
        "dst_interface",
        "intf2",
        "target_if",
    ],
];
