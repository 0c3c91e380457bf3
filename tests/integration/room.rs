//! Memory of bodies on their way: counted as they come, over either protocol, packed or not, and
//! given back however a request ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use calspamd::protocol::compression;
use calspamd::server::{Address, Application, Settings, spamd};

use crate::cli::Folder;
use crate::controller::connect_from;
use crate::hostile::Program;
use crate::support::{Reply, Service, ask, calendar, mail, post, rule_set, state, test_settings};

/// A limit that a few bodies fill.
const ROOM: usize = 1 << 20;

/// A mail of some length.
fn long_mail(length: usize) -> Vec<u8> {
    let text = "word ".repeat(length / 5);
    let event = format!("SUMMARY:Lunch\nDESCRIPTION:{text}");
    mail("Lunch", &calendar("REQUEST", &[&event])).into_bytes()
}

/// A connection of a client that has sent so much of a longer body.
fn part_of_a_body(client: u8, address: SocketAddr, length: usize, sent: usize) -> TcpStream {
    let mut stream = connect_from(client, address);
    let head = format!("POST /checkv2 HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // Who is refused on the way need not send the rest.
    drop(stream.write_all(&vec![b'x'; sent]));
    stream
}

/// What a client reads; a refusal may come before it has sent everything.
fn send(client: u8, address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = connect_from(client, address);
    drop(stream.write_all(request));
    Reply::read(&mut stream)
}

#[track_caller]
fn refused(reply: &Reply) {
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("1"), "{reply:?}");
    assert_eq!(reply.json()["error"], "too many messages at a time");
}

fn metrics(address: SocketAddr) -> String {
    ask(address, b"GET /metrics HTTP/1.0\r\n\r\n").body
}

/// Waits until bodies take so much.
#[track_caller]
fn until_taken(address: SocketAddr, octets: usize) {
    let begun = Instant::now();
    let line = format!("calspamd_body_bytes {octets}");
    while !metrics(address).lines().any(|found| found == line) {
        let text = metrics(address);
        let found = text.lines().find(|line| line.starts_with("calspamd_body_bytes"));
        assert!(begun.elapsed() < Duration::from_secs(20), "{octets} expected, {found:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn who_comes_to_a_full_room_may_come_again() {
    let folder = Folder::new();
    let settings = format!(
        "[http]\nmax_message = \"{ROOM}B\"\nmax_in_flight = \"{ROOM}B\"\n\
         [reputation]\nstore = \"memory\"\n"
    );
    let config = folder.write("calspamd.toml", &settings);
    let program = Program::start_with(&["--config", &config]);
    let address = program.address;
    let first = long_mail(450_000);
    let request = post("/checkv2", "", &first);
    let (begin, end) = request.split_at(request.len() - 1_000);
    let mut slow = connect_from(2, address);
    slow.write_all(begin).unwrap();
    let gone = part_of_a_body(3, address, 600_000, 450_000);
    let taken = 450_000 + first.len() - 1_000;
    until_taken(address, taken);

    // The length that somebody says he will send takes nothing.
    let idle: Vec<_> = (0..50).map(|_| part_of_a_body(4, address, ROOM, 0)).collect();
    let small = post("/checkv2", "", &long_mail(1_000));
    assert_eq!(send(5, address, &small).status, 200);
    let (large, body) = (post("/checkv2", "", &long_mail(300_000)), long_mail(300_000));
    refused(&send(5, address, &large));
    let packed = compression::zstd(&body).unwrap();
    refused(&send(5, address, &post("/checkv2", "Compression: zstd\r\n", &packed)));
    let parts = [
        &b"--B\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{}\r\n\
           --B\r\nContent-Disposition: form-data; name=\"message\"\r\nContent-Encoding: zstd\r\n\r\n"[..],
        &packed,
        b"\r\n--B--\r\n",
    ]
    .concat();
    let kind = "Content-Type: multipart/form-data; boundary=B\r\n";
    refused(&send(5, address, &post("/checkv3", kind, &parts)));
    let chunked = [
        &b"POST /checkv2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        format!("{:x}\r\n", body.len()).as_bytes(),
        &body,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    refused(&send(5, address, &chunked));
    until_taken(address, taken);

    // One ends well and one breaks off; there is room again.
    slow.write_all(end).unwrap();
    assert_eq!(Reply::read(&mut slow).status, 200);
    drop((gone, idle));
    until_taken(address, 0);
    for request in [&large, &chunked, &post("/checkv3", kind, &parts)] {
        assert_eq!(send(5, address, request).status, 200);
    }
    // One client leaves some of it to the others.
    let most = part_of_a_body(2, address, ROOM, ROOM / 4 * 3 - 10_000);
    until_taken(address, ROOM / 4 * 3 - 10_000);
    refused(&send(2, address, &post("/checkv2", "", &long_mail(50_000))));
    assert_eq!(send(5, address, &post("/checkv2", "", &long_mail(50_000))).status, 200);
    drop(most);
    until_taken(address, 0);
    let text = metrics(address);
    let line = r#"calspamd_requests_rejected_total{reason="room"} 5"#;
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn spamc_is_told_to_come_again() {
    let settings = Settings { max_in_flight: ROOM, ..test_settings() };
    let scan = calspamd::scan::scan;
    let mut application = Application::build(settings, state(rule_set(""), scan)).unwrap();
    let listen = Some("127.0.0.1:0".parse().unwrap());
    application.add_spamd(spamd::Settings { listen, ..spamd::Settings::default() }).unwrap();
    let Some(Address::Tcp(address)) = application.spamd_address().cloned() else { panic!() };
    let service = Service::of(application);
    let begin = |client: u8, more: &str, length: usize, body: &[u8]| {
        let mut stream = connect_from(client, address);
        let head = format!("CHECK SPAMC/1.5\r\n{more}Content-length: {length}\r\n\r\n");
        drop(stream.write_all(&[head.as_bytes(), body].concat()));
        (stream, head.len() + body.len())
    };
    let asked = |more: &str, body: &[u8]| {
        let (mut stream, _) = begin(5, more, body.len(), body);
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    let (one, first) = begin(2, "", 600_000, &vec![b'x'; 450_000]);
    let (other, second) = begin(3, "", 600_000, &vec![b'x'; 450_000]);
    until_taken(service.address, first + second);
    let full = "SPAMD/1.0 75 Service Unavailable: too many messages at a time\r\n";
    let body = long_mail(300_000);
    assert_eq!(asked("", &body), full);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&body).unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(asked("Compress: zlib\r\n", &packed), full);
    assert!(asked("", &long_mail(1_000)).starts_with("SPAMD/1.1 0 EX_OK"));
    drop((one, other));
    until_taken(service.address, 0);
    for (more, body) in [("", &body), ("Compress: zlib\r\n", &packed)] {
        assert!(asked(more, body).starts_with("SPAMD/1.1 0 EX_OK"));
    }
    until_taken(service.address, 0);
    let line = r#"calspamd_requests_rejected_total{reason="room"} 2"#;
    assert!(metrics(service.address).lines().any(|found| found == line));
}

/// Twelve clients with 30 MB each, and the limit of somebody who has set none.
#[test]
#[cfg(target_os = "linux")]
fn many_large_bodies_take_no_more_than_their_room() {
    const SENT: usize = 30 << 20;
    let program = Program::start();
    let address = program.address;
    let clients: Vec<_> = (10..22)
        .map(|client| thread::spawn(move || part_of_a_body(client, address, 50 << 20, SENT)))
        .collect();
    let clients: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let waits = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    };
    let let_in = clients.iter().filter(|stream| waits(stream)).count();
    let most = program.status("VmHWM");
    println!("{let_in} were let in, {most} kB");
    assert!((1..=4).contains(&let_in), "{let_in}");
    assert!(most < 300_000, "{most} kB");
    drop(clients);
    until_taken(address, 0);
    let reply = ask(address, &post("/checkv2", "", &long_mail(100_000)));
    assert_eq!(reply.status, 200, "{reply:?}");
}
