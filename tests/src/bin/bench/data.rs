//! The load: rows as an account system exports them, the same in every run.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// How many accounts there are. Row after row names the next one, and after the last the first again with a later
/// month, as in an export that is appended to.
pub const ACCOUNTS: u64 = 200_000;

/// The header: twelve columns, some 156 bytes a row.
pub const HEADER: &str = "Account ID,Name,Domain,ARR,Seats,Health,Adoption,Active,Renewal,Plan,Website,MAU\n";

/// Where a file ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many rows.
    Rows(u64),
    /// At the first row that ends beyond so many bytes.
    Bytes(u64),
}

/// Writes a file; gives its rows and bytes.
pub fn write_file(path: &Path, until: Until) -> io::Result<(u64, u64)> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(HEADER.as_bytes())?;
    let (mut rows, mut bytes) = (0, HEADER.len() as u64);
    let mut line = Vec::with_capacity(512);
    loop {
        let done = match until {
            Until::Rows(all) => rows >= all,
            Until::Bytes(all) => bytes >= all,
        };
        if done {
            break;
        }
        line.clear();
        write_row(rows, &mut line)?;
        file.write_all(&line)?;
        rows += 1;
        bytes += line.len() as u64;
    }
    file.flush()?;
    Ok((rows, bytes))
}

/// A small file: its own accounts, from `first` on.
pub fn small_file(first: u64, rows: u64) -> io::Result<Vec<u8>> {
    let mut file = HEADER.as_bytes().to_vec();
    (first..first + rows).try_for_each(|row| write_row(row, &mut file))?;
    Ok(file)
}

fn write_row(row: u64, out: &mut Vec<u8>) -> io::Result<()> {
    const PLANS: [&str; 4] = ["free", "team", "business", "enterprise"];
    const TRADES: [&str; 8] =
        ["Shipping", "Metals", "Foods", "Optics", "Textiles", "Software", "Timber", "Instruments"];
    let (account, month) = (row % ACCOUNTS, row / ACCOUNTS);
    let noise = scramble(row);
    let of = |shift: u32, below: u64| (noise >> shift) % below;
    writeln!(
        out,
        "0015e00002{account:06}AAQ,{trade} Works {account},works-{account}.example.com,{arr}.{cents:02},{seats},{health}.{tenths},\
         {adoption}.5%,{active},{year}-{month:02}-{day:02},{plan},https://www.works-{account}.example.com/about,{mau}",
        trade = TRADES[scramble(account) as usize % TRADES.len()],
        arr = of(0, 500_000),
        cents = of(3, 100),
        seats = 1 + of(7, 2_000),
        health = of(11, 100),
        tenths = of(13, 10),
        adoption = of(17, 100),
        active = if of(19, 5) > 0 { "true" } else { "false" },
        year = 2020 + month / 12,
        month = 1 + month % 12,
        day = 1 + account % 28,
        plan = PLANS[of(23, 4) as usize],
        mau = of(29, 100_000),
    )
}

/// A number that looks random and is not (the finisher of SplitMix64).
fn scramble(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
