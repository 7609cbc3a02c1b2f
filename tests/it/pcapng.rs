//! Builds a pcapng file block by block, in either byte order.

pub struct PcapNgFile {
    pub bytes: Vec<u8>,
    is_big_endian: bool,
}

impl PcapNgFile {
    /// A file with its section header.
    pub fn new(is_big_endian: bool) -> Self {
        let mut file = PcapNgFile { bytes: Vec::new(), is_big_endian };
        file.section();
        file
    }

    pub fn u32(&self, number: u32) -> [u8; 4] {
        if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    pub fn u16(&self, number: u16) -> [u8; 2] {
        if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    pub fn section(&mut self) {
        let body = [
            self.u32(0x1a2b_3c4d).as_slice(),
            &self.u16(1),
            &self.u16(0),
            &[0xff; 8],
            // a comment that is not UTF-8
            &self.u16(1),
            &self.u16(2),
            &[0xff, 0xfe, 0, 0],
            &[0; 4],
        ]
        .concat();
        self.block(0x0a0d_0d0a, &body);
    }

    /// From here on in the other byte order: a section header follows.
    pub fn swap(&mut self) {
        self.is_big_endian = !self.is_big_endian;
        self.section();
    }

    pub fn block(&mut self, kind: u32, body: &[u8]) {
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = self.u32((12 + body.len() + padding) as u32);
        let kind = self.u32(kind);
        self.bytes.extend([kind.as_slice(), &length, body, &[0; 3][..padding], &length].concat());
    }

    pub fn interface(&mut self, link_type: u16, snap_length: u32, options: &[(u16, Vec<u8>)]) {
        let mut body = [self.u16(link_type).as_slice(), &self.u16(0), &self.u32(snap_length)].concat();
        self.options(&mut body, options);
        self.block(1, &body);
    }

    pub fn enhanced_packet(&mut self, interface: u32, time: u64, original: u32, captured: &[u8]) {
        self.enhanced_packet_with(interface, time, original, captured, &[]);
    }

    /// The same with options.
    pub fn enhanced_packet_with(
        &mut self,
        interface: u32,
        time: u64,
        original: u32,
        captured: &[u8],
        options: &[(u16, Vec<u8>)],
    ) {
        let mut body = [
            self.u32(interface).as_slice(),
            &self.u32((time >> 32) as u32),
            &self.u32(time as u32),
            &self.u32(captured.len() as u32),
            &self.u32(original),
            captured,
        ]
        .concat();
        body.resize(body.len().next_multiple_of(4), 0);
        self.options(&mut body, options);
        self.block(6, &body);
    }

    fn options(&self, body: &mut Vec<u8>, options: &[(u16, Vec<u8>)]) {
        for (code, value) in options {
            body.extend(self.u16(*code));
            body.extend(self.u16(value.len() as u16));
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
    }

    pub fn simple_packet(&mut self, original: u32, captured: &[u8]) {
        let body = [self.u32(original).as_slice(), captured].concat();
        self.block(3, &body);
    }

    /// The obsolete Packet Block.
    pub fn packet(&mut self, interface: u16, time: u64, original: u32, captured: &[u8]) {
        let body = [
            self.u16(interface).as_slice(),
            &self.u16(0),
            &self.u32((time >> 32) as u32),
            &self.u32(time as u32),
            &self.u32(captured.len() as u32),
            &self.u32(original),
            captured,
        ]
        .concat();
        self.block(2, &body);
    }
}
