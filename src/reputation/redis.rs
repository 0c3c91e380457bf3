//! The store that several instances share: Redis or Valkey, one server, behind sentinels, or a
//! cluster.
//!
//! A set is a sorted set whose scores are times, an entry of fields a hash; both expire by
//! themselves. A recall is one pipeline, a record one script, so that what several processes
//! record at once is neither lost nor torn. Needs Redis 6.2.
//! Not an error: a server that is not there, does not answer, or comes back empty.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::ConnectionLike as _;
use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, Script, Value};
use tokio::runtime::{Builder, Runtime};

use super::entry::{Content, Entry};
use super::store::{
    Ask, Change, Field, Found, KEY, Key, Kind, Member, Purge, Stats, Store, Trouble, Wins,
};

mod server;

use server::{Address, Link, told};

/// Changes that one script makes; the server does nothing else meanwhile.
const SCRIPT: usize = 400;

/// Entries looked at in one go of going over all.
const PAGE: usize = 500;

/// Time for what no scan waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many answers in a row that do not come in time, and the connection is not trusted any more.
const PATIENT: u32 = 3;

/// Longest time an entry is kept, in seconds: ten years.
const LIFE: i64 = 10 * 366 * 86_400;

/// Octets of a field's order.
const ORDER: usize = 16;

/// Entries on a server.
pub struct Redis {
    runtime: Option<Runtime>,
    address: Arc<Address>,
    link: Mutex<Option<Link>>,
    /// Answers in a row that did not come in time.
    late: AtomicU32,
    record: Arc<Script>,
    scan: Arc<Script>,
}

impl Redis {
    /// Names the server; connecting comes later, and goes on trying. An error is a mistake in the
    /// URL.
    pub fn open(url: &str) -> Result<Self, String> {
        // A second call finds it set.
        drop(rustls::crypto::ring::default_provider().install_default());
        let address = Arc::new(Address::read(url)?);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("calspamd-redis")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let redis = Self {
            runtime: Some(runtime),
            address,
            link: Mutex::new(None),
            late: AtomicU32::new(0),
            record: Arc::new(Script::new(include_str!("redis/record.lua"))),
            // Where the entries of a cluster are, only a key says.
            scan: Arc::new(Script::new(
                "local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
                return {page[1], page[2], tonumber(redis.call('TIME')[1])}",
            )),
        };
        // The service starts without it, too.
        drop(redis.connect());
        Ok(redis)
    }

    fn link(&self) -> MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects where nothing is connected.
    fn connect(&self) -> Result<(), Trouble> {
        if self.link().is_some() {
            return Ok(());
        }
        let address = Arc::clone(&self.address);
        let link = self.wait(PATIENCE, async move { address.connect().await })?;
        *self.link() = Some(link);
        Ok(())
    }

    /// Has the runtime do something, and waits for it, but not too long.
    fn wait<T: Send + 'static>(
        &self,
        budget: Duration,
        work: impl Future<Output = RedisResult<T>> + Send + 'static,
    ) -> Result<T, Trouble> {
        let Some(runtime) = &self.runtime else { return Err(Trouble::Late) };
        let (send, receive) = mpsc::sync_channel(1);
        let task = runtime.spawn(async move { drop(send.try_send(work.await)) });
        match receive.recv_timeout(budget) {
            Ok(Ok(value)) => {
                self.late.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(RecvTimeoutError::Timeout) => {
                task.abort();
                self.late();
                Err(Trouble::Late)
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Trouble::Failed("redis: ended early".to_owned()))
            }
        }
    }

    /// A machine that is gone closes no connection. Whoever may have taken its place is found by
    /// connecting anew.
    fn late(&self) {
        let late = self.late.fetch_add(1, Ordering::Relaxed) + 1;
        if late.is_multiple_of(PATIENT) && !self.address.is_kept() {
            *self.link() = None;
        }
    }

    fn failed(&self, error: &RedisError) -> Trouble {
        // A master that is none any more stays so; the sentinels know the new one.
        let is_gone = error.is_io_error()
            || error.is_unrecoverable_error()
            || error.code() == Some("READONLY");
        if is_gone && !self.address.is_kept() {
            *self.link() = None;
        }
        if error.is_timeout() {
            Trouble::Late
        } else {
            Trouble::Failed(format!("redis: {}", told(error)))
        }
    }

    /// Sends commands together; their answers in their order.
    fn ask(&self, commands: Pipeline, budget: Duration) -> Result<Vec<Value>, Trouble> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mut link = self.linked()?;
        self.wait(budget, async move { commands.query_async(&mut link).await })
    }

    fn linked(&self) -> Result<Link, Trouble> {
        self.link().clone().ok_or_else(|| Trouble::Failed("redis: not connected".to_owned()))
    }

    /// The name of an entry on the server.
    fn name(&self, key: &Key) -> Vec<u8> {
        [self.address.prefix.as_slice(), &key.0].concat()
    }

    fn key(&self, name: &[u8]) -> Option<Key> {
        let key: [u8; KEY] = name.strip_prefix(self.address.prefix.as_slice())?.try_into().ok()?;
        Some(Key(key))
    }

    /// Goes over all entries of ours, page by page, each with the server's time.
    fn pages(
        &self,
        mut see: impl FnMut(Vec<Key>, i64) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let pattern = [escaped(&self.address.prefix), b"*".to_vec()].concat();
        let mut cursor = b"0".to_vec();
        loop {
            let (mut link, scan) = (self.linked()?, Arc::clone(&self.scan));
            let (from, pattern, near) = (cursor, pattern.clone(), self.address.prefix.clone());
            let page: (Vec<u8>, Vec<Vec<u8>>, i64) = self.wait(PATIENCE, async move {
                let mut call = scan.prepare_invoke();
                call.key(near).arg(from).arg(pattern).arg(PAGE);
                call.invoke_async(&mut link).await
            })?;
            cursor = page.0;
            see(page.1.iter().filter_map(|name| self.key(name)).collect(), page.2)?;
            if cursor == b"0" {
                return Ok(());
            }
        }
    }

    /// Reads entries whole.
    fn read(&self, keys: &[Key], now: i64) -> Result<Vec<(Key, Entry)>, Trouble> {
        let mut commands = Pipeline::new();
        for key in keys {
            let name = self.name(key);
            commands.cmd("PTTL").arg(&name);
            if has_fields(key) {
                commands.cmd("HGETALL").arg(&name);
            } else {
                commands.cmd("ZRANGE").arg(&name).arg(0).arg(-1).arg("WITHSCORES");
            }
        }
        let answers = self.ask(commands, PATIENCE)?;
        let each = keys.iter().zip(answers.chunks(2));
        Ok(each
            .filter_map(|(key, answers)| {
                let [left, content] = answers else { return None };
                let left = i64::from_redis_value_ref(left).ok()?;
                let content = if has_fields(key) {
                    Content::Fields(fields(content))
                } else {
                    Content::Times(
                        times(content).into_iter().map(|(member, time)| (time, member)).collect(),
                    )
                };
                let entry = Entry { until: now.saturating_add(left.max(0) / 1_000), content };
                entry.remaining().map(|entry| (*key, entry))
            })
            .collect())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops it may run on another runtime, which must not wait for this one.
            runtime.shutdown_background();
        }
    }
}

impl Store for Redis {
    fn recall(&self, asks: &[Ask], budget: Duration) -> Result<Vec<Found>, Trouble> {
        let mut commands = Pipeline::new();
        for ask in asks {
            let name = self.name(&ask.key());
            match ask {
                Ask::Count { since, of, .. } => {
                    commands.cmd("ZCOUNT").arg(&name).arg(*since).arg("+inf");
                    for member in of {
                        commands.cmd("ZSCORE").arg(&name).arg(&member.0);
                    }
                }
                Ask::List { since, most, .. } => {
                    let list = commands.cmd("ZREVRANGEBYSCORE").arg(&name).arg("+inf").arg(*since);
                    list.arg("WITHSCORES").arg("LIMIT").arg(0).arg(*most);
                }
                Ask::Read { .. } => {
                    commands.cmd("HGETALL").arg(&name);
                }
            }
        }
        let answers = self.ask(commands, budget)?;
        let mut answers = answers.iter();
        Ok(asks.iter().map(|ask| found(ask, &mut answers)).collect())
    }

    fn record(&self, changes: &[Change]) -> Result<(), Trouble> {
        for changes in changes.chunks(SCRIPT) {
            let (mut link, script) = (self.linked()?, Arc::clone(&self.record));
            let names: Vec<Vec<u8>> =
                changes.iter().map(|change| self.name(&change.key())).collect();
            let arguments: Vec<Vec<u8>> = changes.iter().flat_map(arguments).collect();
            self.wait(PATIENCE, async move {
                let mut call = script.prepare_invoke();
                call.key(names).arg(arguments);
                call.invoke_async::<i64>(&mut link).await
            })?;
        }
        Ok(())
    }

    /// What the server has said yes to is out of this process.
    fn flush(&self) -> Result<(), Trouble> {
        Ok(())
    }

    fn tend(&self, _: i64) -> Result<(), Trouble> {
        self.connect()
    }

    fn stats(&self) -> Result<Stats, Trouble> {
        let mut link = self.linked()?;
        let text: String = self.wait(PATIENCE, async move {
            let answer = link.req_packed_command(redis::cmd("INFO").arg("memory")).await?;
            // A cluster answers once for each node.
            let node = if let Value::Map(nodes) = answer {
                nodes.into_iter().map(|(_, info)| info).next().unwrap_or(Value::Nil)
            } else {
                answer
            };
            Ok(String::from_redis_value(node)?)
        })?;
        let number = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        Ok(Stats {
            backend: "redis",
            entries: Vec::new(),
            bytes: number("used_memory"),
            max_bytes: number("maxmemory"),
        })
    }

    fn visit(&self, see: &mut dyn FnMut(Key, Entry)) -> Result<(), Trouble> {
        self.pages(|keys, now| {
            for (key, entry) in self.read(&keys, now)? {
                see(key, entry);
            }
            Ok(())
        })
    }

    fn restore(&self, entries: Vec<(Key, Entry)>) -> Result<(), Trouble> {
        for entries in entries.chunks(PAGE) {
            let mut commands = Pipeline::new();
            commands.atomic();
            for (key, entry) in entries {
                let name = self.name(key);
                commands.cmd("DEL").arg(&name).ignore();
                match &entry.content {
                    Content::Times(times) if !times.is_empty() => {
                        let add = commands.cmd("ZADD").arg(&name);
                        for (time, member) in times {
                            add.arg(*time).arg(&member.0);
                        }
                        add.ignore();
                    }
                    Content::Fields(fields) if !fields.is_empty() => {
                        let set = commands.cmd("HSET").arg(&name);
                        for field in fields {
                            set.arg(&field.name.0).arg(packed(field));
                        }
                        set.ignore();
                    }
                    Content::Times(_) | Content::Fields(_) => continue,
                }
                // What has expired already goes at once.
                commands.cmd("EXPIREAT").arg(&name).arg(entry.until).ignore();
            }
            self.ask(commands, PATIENCE)?;
        }
        Ok(())
    }

    fn purge(&self, purge: &Purge) -> Result<u64, Trouble> {
        let mut gone = 0;
        let mut delete = Pipeline::new();
        for key in &purge.keys {
            delete.cmd("DEL").arg(self.name(key));
        }
        for answer in self.ask(delete, PATIENCE)? {
            gone += u64::from_redis_value(answer).unwrap_or(0);
        }
        self.pages(|keys, now| {
            let mut commands = Pipeline::new();
            for (key, entry) in self.read(&keys, now)? {
                let mut rest = entry.clone();
                if rest.purge(purge) > 0 {
                    self.without(&mut commands, &key, &entry, &rest);
                }
            }
            for answer in self.ask(commands, PATIENCE)? {
                gone += u64::from_redis_value(answer).unwrap_or(0);
            }
            Ok(())
        })?;
        Ok(gone)
    }

    fn may_wait(&self) -> bool {
        true
    }
}

impl Redis {
    /// Takes away by name what one form of an entry has and the other has not: what came
    /// meanwhile stays.
    fn without(&self, commands: &mut Pipeline, key: &Key, before: &Entry, after: &Entry) {
        let names = |entry: &Entry| -> Vec<Member> {
            match &entry.content {
                Content::Times(times) => times.iter().map(|(_, member)| *member).collect(),
                Content::Fields(fields) => fields.iter().map(|field| field.name).collect(),
            }
        };
        let kept = names(after);
        let remove =
            commands.cmd(if has_fields(key) { "HDEL" } else { "ZREM" }).arg(self.name(key));
        for name in names(before).iter().filter(|name| !kept.contains(name)) {
            remove.arg(&name.0);
        }
    }
}

/// Whether an entry is one of fields, as its kind says.
fn has_fields(key: &Key) -> bool {
    matches!(key.kind(), Some(Kind::Event | Kind::Reports | Kind::Record | Kind::Outbound))
}

/// What the script reads of a change.
fn arguments(change: &Change) -> Vec<Vec<u8>> {
    let number = |number: i64| number.to_string().into_bytes();
    let most = |most: usize| most.max(1).to_string().into_bytes();
    let life = |life: i64| number(life.clamp(1, LIFE));
    match change {
        Change::Note { member, at, window, most: limit, life: time, .. } => vec![
            b"note".to_vec(),
            member.0.to_vec(),
            number(*at),
            number(at.saturating_sub(*window)),
            most(*limit),
            life(*time),
        ],
        Change::Put { name, at, order, wins, value, most: limit, life: time, .. } => {
            let equal = match wins {
                Wins::Above => b"0",
                Wins::NotBelow => b"1",
            };
            vec![
                b"put".to_vec(),
                name.0.to_vec(),
                number(*at),
                order.to_be_bytes().to_vec(),
                equal.to_vec(),
                value.clone(),
                most(*limit),
                life(*time),
            ]
        }
        Change::Remove { name, .. } => vec![b"remove".to_vec(), name.0.to_vec()],
    }
}

/// A field as the script keeps it.
fn packed(field: &Field) -> Vec<u8> {
    let time = format!("{}:", field.at);
    [&field.order.to_be_bytes()[..], time.as_bytes(), &field.value].concat()
}

fn unpacked(name: Member, packed: &[u8]) -> Option<Field> {
    let (order, rest) = packed.split_first_chunk::<ORDER>()?;
    let colon = memchr::memchr(b':', rest)?;
    let (time, value) = rest.split_at_checked(colon)?;
    Some(Field {
        name,
        at: std::str::from_utf8(time).ok()?.parse().ok()?,
        order: u128::from_be_bytes(*order),
        value: value.get(1..)?.to_vec(),
    })
}

/// Reads the answers to one question. What the server should not have said is nothing.
fn found<'v>(ask: &Ask, answers: &mut impl Iterator<Item = &'v Value>) -> Found {
    let mut next = || answers.next().unwrap_or(&Value::Nil);
    match ask {
        Ask::Count { since, of, .. } => {
            let count = u64::from_redis_value_ref(next()).unwrap_or(0);
            let of = of.iter().map(|_| time(next()).filter(|time| time >= since)).collect();
            Found::Count { count, of }
        }
        Ask::List { .. } => Found::List(times(next())),
        Ask::Read { since, .. } => {
            let mut fields = fields(next());
            fields.retain(|field| field.at >= *since);
            Found::Fields(fields)
        }
    }
}

/// A score; whole seconds fit exactly.
#[expect(clippy::cast_possible_truncation, reason = "scores are whole seconds")]
fn time(score: &Value) -> Option<i64> {
    Option::<f64>::from_redis_value_ref(score).ok().flatten().map(|score| score as i64)
}

/// Members and scores, in the order of the answer.
#[expect(clippy::cast_possible_truncation, reason = "scores are whole seconds")]
fn times(answer: &Value) -> Vec<(Member, i64)> {
    let pairs = Vec::<(Vec<u8>, f64)>::from_redis_value_ref(answer).unwrap_or_default();
    let read =
        |(member, score): (Vec<u8>, f64)| Some((Member(member.try_into().ok()?), score as i64));
    pairs.into_iter().filter_map(read).collect()
}

/// Fields by name.
fn fields(answer: &Value) -> Vec<Field> {
    let pairs = Vec::<(Vec<u8>, Vec<u8>)>::from_redis_value_ref(answer).unwrap_or_default();
    let read = |(name, value): (Vec<u8>, Vec<u8>)| unpacked(Member(name.try_into().ok()?), &value);
    let mut fields: Vec<Field> = pairs.into_iter().filter_map(read).collect();
    fields.sort_unstable_by_key(|field| field.name);
    fields
}

/// A text in which a pattern's signs stand for themselves.
fn escaped(text: &[u8]) -> Vec<u8> {
    let escape = |octet: &u8| {
        let special = matches!(octet, b'*' | b'?' | b'[' | b']' | b'^' | b'\\');
        special.then_some(b'\\').into_iter().chain([*octet])
    };
    text.iter().flat_map(escape).collect()
}
