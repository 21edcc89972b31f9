//! Appends what standard input says with one of the logs for Rust, block by block, and says how long each block took.
//!
//! Arguments: the name of the log, and an empty directory. In: for each block the number of its entries (0 ends), 1 if
//! they are one batch or 0 if each has to be durable before the next, and each entry's length and bytes. Out: for each
//! block its nanoseconds (u64); after the end, every entry as the log's own reader gives it back when it is opened
//! again, its length before it. Other numbers are u32. All numbers are little-endian.

use std::error::Error;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A log that is durable when `append` or `append_batch` returns.
trait Log {
    fn append(&mut self, data: &[u8]) -> Outcome<()>;
    fn append_batch(&mut self, entries: &[Vec<u8>]) -> Outcome<()>;
    /// Close the log, open it again, and give every entry to `each`.
    fn read_back(
        self: Box<Self>,
        directory: &Path,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Outcome<()>;
}

struct OpenWal(open_wal::Wal);

impl Log for OpenWal {
    fn append(&mut self, data: &[u8]) -> Outcome<()> {
        self.0.append(data)?;
        self.0.commit()?;
        Ok(())
    }

    fn append_batch(&mut self, entries: &[Vec<u8>]) -> Outcome<()> {
        for data in entries {
            self.0.append(data)?;
        }
        self.0.commit()?;
        Ok(())
    }

    fn read_back(
        self: Box<Self>,
        directory: &Path,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Outcome<()> {
        drop(self);
        let (wal, _) = open_wal::Wal::open(directory, open_wal::WalConfig::default())?;
        let mut reader = wal.reader_from(open_wal::Lsn(0))?;
        while let Some(record) = reader.next() {
            each(record?.1)?;
        }
        Ok(())
    }
}

/// Collects what okaywal recovers. It keeps every entry: nothing is ever checkpointed.
#[derive(Debug, Clone, Default)]
struct Recovered(Arc<Mutex<Vec<Vec<u8>>>>);

impl okaywal::LogManager for Recovered {
    fn recover(&mut self, entry: &mut okaywal::Entry<'_>) -> io::Result<()> {
        if let Some(chunks) = entry.read_all_chunks()? {
            self.0.lock().unwrap().extend(chunks);
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _: okaywal::EntryId,
        _: &mut okaywal::SegmentReader,
        _: &okaywal::WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

struct OkayWal(okaywal::WriteAheadLog);

impl OkayWal {
    fn open(directory: &Path, recovered: Recovered) -> io::Result<okaywal::WriteAheadLog> {
        okaywal::Configuration::default_for(directory)
            .preallocate_bytes(64 << 20)
            .checkpoint_after_bytes(u64::MAX)
            .open(recovered)
    }
}

impl Log for OkayWal {
    fn append(&mut self, data: &[u8]) -> Outcome<()> {
        let mut entry = self.0.begin_entry()?;
        entry.write_chunk(data)?;
        entry.commit()?;
        Ok(())
    }

    fn append_batch(&mut self, entries: &[Vec<u8>]) -> Outcome<()> {
        let mut entry = self.0.begin_entry()?;
        for data in entries {
            entry.write_chunk(data)?;
        }
        entry.commit()?;
        Ok(())
    }

    fn read_back(
        self: Box<Self>,
        directory: &Path,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Outcome<()> {
        self.0.shutdown()?;
        let recovered = Recovered::default();
        let _log = OkayWal::open(directory, recovered.clone())?;
        for data in recovered.0.lock().unwrap().iter() {
            each(data)?;
        }
        Ok(())
    }
}

type Engine = raft_engine::Engine;
type Message = protobuf::well_known_types::BytesValue;

struct Indexed;

impl raft_engine::MessageExt for Indexed {
    type Entry = Message;

    fn index(entry: &Message) -> u64 {
        u64::from_le_bytes(entry.value[..8].try_into().unwrap())
    }
}

struct RaftEngine {
    engine: Engine,
    last_index: u64,
}

const REGION: u64 = 1;

impl RaftEngine {
    fn open(directory: &Path) -> Outcome<Engine> {
        Ok(Engine::open(raft_engine::Config {
            dir: directory
                .to_str()
                .ok_or("the directory is not UTF-8")?
                .to_owned(),
            batch_compression_threshold: raft_engine::ReadableSize::kb(0),
            ..Default::default()
        })?)
    }

    fn write<'data>(&mut self, entries: impl Iterator<Item = &'data [u8]>) -> Outcome<()> {
        let mut messages = Vec::new();
        for data in entries {
            self.last_index += 1;
            let mut message = Message::new();
            message.value = [&self.last_index.to_le_bytes(), data].concat();
            messages.push(message);
        }
        let mut batch = raft_engine::LogBatch::default();
        batch.add_entries::<Indexed>(REGION, &messages)?;
        self.engine.write(&mut batch, true)?;
        Ok(())
    }
}

impl Log for RaftEngine {
    fn append(&mut self, data: &[u8]) -> Outcome<()> {
        self.write(std::iter::once(data))
    }

    fn append_batch(&mut self, entries: &[Vec<u8>]) -> Outcome<()> {
        self.write(entries.iter().map(Vec::as_slice))
    }

    fn read_back(
        self: Box<Self>,
        directory: &Path,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Outcome<()> {
        drop(self);
        let engine = RaftEngine::open(directory)?;
        let last_index = engine.last_index(REGION).unwrap_or(0);
        let mut messages = Vec::new();
        engine.fetch_entries_to::<Indexed>(REGION, 1, last_index + 1, None, &mut messages)?;
        for message in messages {
            each(&message.value[8..])?;
        }
        Ok(())
    }
}

struct Walogs(walogs::Wal);

impl Log for Walogs {
    fn append(&mut self, data: &[u8]) -> Outcome<()> {
        self.0.append(data)?;
        Ok(())
    }

    fn append_batch(&mut self, _: &[Vec<u8>]) -> Outcome<()> {
        Err("the crate walogs has no batches".into())
    }

    fn read_back(
        self: Box<Self>,
        directory: &Path,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Outcome<()> {
        drop(self);
        for entry in walogs::Wal::open(directory)?.iter() {
            each(&entry?.1)?;
        }
        Ok(())
    }
}

fn open(name: &str, directory: &Path) -> Outcome<Box<dyn Log>> {
    Ok(match name {
        "open-wal" => Box::new(OpenWal(
            open_wal::Wal::open(directory, open_wal::WalConfig::default())?.0,
        )),
        "okaywal" => Box::new(OkayWal(OkayWal::open(directory, Recovered::default())?)),
        "raft-engine" => Box::new(RaftEngine {
            engine: RaftEngine::open(directory)?,
            last_index: 0,
        }),
        "walogs" => Box::new(Walogs(walogs::Wal::open(directory)?)),
        _ => return Err(format!("no such log: {name}").into()),
    })
}

fn number(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn block(input: &mut impl Read, count: u32) -> io::Result<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    for _ in 0..count {
        let mut data = vec![0; number(input)? as usize];
        input.read_exact(&mut data)?;
        entries.push(data);
    }
    Ok(entries)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, directory] = &arguments[..] else {
        return Err("name a log and a directory".into());
    };
    let directory = &Path::new(directory).join("log");
    let (mut input, mut output) = (io::stdin().lock(), BufWriter::new(io::stdout().lock()));
    let mut log = open(name, directory)?;
    loop {
        let count = number(&mut input)?;
        if count == 0 {
            break;
        }
        let is_batch = number(&mut input)? != 0;
        let entries = block(&mut input, count)?;
        let began = Instant::now();
        if is_batch {
            log.append_batch(&entries)?;
        } else {
            for data in &entries {
                log.append(data)?;
            }
        }
        output.write_all(&(began.elapsed().as_nanos() as u64).to_le_bytes())?;
        output.flush()?;
    }
    log.read_back(directory, &mut |data| {
        output.write_all(&(data.len() as u32).to_le_bytes())?;
        output.write_all(data)
    })?;
    output.flush()?;
    Ok(())
}
