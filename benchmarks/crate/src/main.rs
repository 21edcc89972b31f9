//! Appends what standard input says with the Rust crate walogs, block by block, and says how long each block took.
//!
//! In: for each block the number of its entries, then each entry's length and bytes; 0 ends. Out: for each block its
//! nanoseconds (u64); after the end, every entry as the crate's own reader gives it back, its length before it.
//! Numbers are u32 and little-endian where nothing else is said.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

fn number(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1).ok_or("name a directory")?;
    let directory = Path::new(&argument);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut wal = walogs::Wal::open(directory)?;
    loop {
        let count = number(&mut input)?;
        if count == 0 {
            break;
        }
        let mut entries = Vec::new();
        for _ in 0..count {
            let mut data = vec![0; number(&mut input)? as usize];
            input.read_exact(&mut data)?;
            entries.push(data);
        }
        let began = Instant::now();
        for data in &entries {
            wal.append(data)?;
        }
        output.write_all(&(began.elapsed().as_nanos() as u64).to_le_bytes())?;
        output.flush()?;
    }
    drop(wal);
    for entry in walogs::Wal::open(directory)?.iter() {
        let (_, data) = entry?;
        output.write_all(&(data.len() as u32).to_le_bytes())?;
        output.write_all(&data)?;
    }
    output.flush()?;
    Ok(())
}
