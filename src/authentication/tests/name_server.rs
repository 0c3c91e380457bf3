//! A name server for tests: one thread, one socket, a handful of records. Names under
//! `silent.test` get no answer, those under `servfail.test` get SERVFAIL, and names with the
//! label `slow` are answered late.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const A: u16 = 1;
const MX: u16 = 15;
const TXT: u16 = 16;

/// Data of records, by name and type.
type Records = HashMap<(String, u16), Vec<Vec<u8>>>;

#[derive(Default)]
struct Shared {
    records: Mutex<Records>,
    asked: Mutex<Vec<String>>,
}

pub(crate) struct NameServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl NameServer {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        std::thread::spawn(move || serve(&Arc::new(socket), &served));
        Self { shared, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn add(&self, name: &str, kind: u16, data: Vec<u8>) {
        let mut records = self.shared.records.lock().unwrap();
        records.entry((name.to_owned(), kind)).or_default().push(data);
    }

    pub(crate) fn txt(&self, name: &str, text: &str) {
        let pieces = text.as_bytes().chunks(255);
        let length = |piece: &[u8]| u8::try_from(piece.len()).unwrap();
        let data = pieces.flat_map(|piece| [&[length(piece)], piece].concat()).collect();
        self.add(name, TXT, data);
    }

    pub(crate) fn a(&self, name: &str, address: [u8; 4]) {
        self.add(name, A, address.to_vec());
    }

    pub(crate) fn mx(&self, name: &str, exchange: &str) {
        self.add(name, MX, [vec![0, 10], encoded(exchange)].concat());
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }

    /// Questions for one name.
    pub(crate) fn asked_for(&self, name: &str) -> usize {
        self.shared.asked.lock().unwrap().iter().filter(|asked| *asked == name).count()
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn serve(socket: &Arc<UdpSocket>, shared: &Shared) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let Some((name, answer)) = answer(&buffer[..length], shared) else { continue };
        if name.ends_with("silent.test") {
            continue;
        }
        if name.split('.').any(|label| label == "slow") {
            let socket = Arc::clone(socket);
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(200));
                drop(socket.send_to(&answer, client));
            });
        } else {
            drop(socket.send_to(&answer, client));
        }
    }
}

/// The name that a question asks for, and the answer.
fn answer(question: &[u8], shared: &Shared) -> Option<(String, Vec<u8>)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    let name = labels.join(".");
    shared.asked.lock().unwrap().push(name.clone());

    let records = shared.records.lock().unwrap();
    let found = records.get(&(name.clone(), kind)).cloned().unwrap_or_default();
    let exists = records.keys().any(|(known, _)| *known == name);
    let code = if name.ends_with("servfail.test") { 2 } else { u8::from(!exists) * 3 };
    let mut reply = question.get(..2)?.to_vec();
    reply.extend([0x84, 0x80 | code, 0, 1, 0, u8::try_from(found.len()).ok()?]);
    let negative = found.is_empty() && code != 2;
    reply.extend([0, u8::from(negative), 0, 0]);
    reply.extend(question.get(12..at + 4)?);
    let mut record = |kind: u16, data: &[u8]| {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        reply.extend(data);
    };
    for data in &found {
        record(kind, data);
    }
    if negative {
        let mut soa = [encoded("ns.test"), encoded("hostmaster.test")].concat();
        for number in [1_u32, 60, 60, 60, 60] {
            soa.extend(number.to_be_bytes());
        }
        record(6, &soa);
    }
    Some((name, reply))
}
