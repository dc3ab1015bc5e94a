//! A ZIP archive written from front to back into a file: parts deflated as they come, sizes filled in behind them. The
//! archive's clock stands still, so that equal parts give equal bytes. No part may be larger than 4 GiB.

use flate2::Crc;
use flate2::write::DeflateEncoder;
use std::fs::File;
use std::io::{BufWriter, Error, ErrorKind, Result, Seek as _, SeekFrom, Write};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// Version 2.0 can deflate.
const VERSION: u16 = 20;
const DEFLATED: u16 = 8;
/// 1980-01-01, the first day that the format knows.
const FIRST_DAY: u16 = 0x0021;
/// Where checksum and sizes stand in a part's head.
const CHECKSUM_AT: u64 = 14;

/// A part that is whole.
struct Done {
    name: &'static str,
    offset: u32,
    checksum: u32,
    packed: u32,
    size: u32,
}

/// An archive between two parts.
pub(super) struct Archive {
    out: BufWriter<File>,
    done: Vec<Done>,
}

/// An archive while a part is being written.
pub(super) struct Part {
    encoder: DeflateEncoder<BufWriter<File>>,
    done: Vec<Done>,
    name: &'static str,
    offset: u64,
    checksum: Crc,
    size: u64,
}

impl Archive {
    pub(super) fn new(file: File) -> Self {
        Self { out: BufWriter::new(file), done: Vec::new() }
    }

    /// Begins a part; names are ASCII.
    pub(super) fn begin(mut self, name: &'static str) -> Result<Part> {
        let offset = self.out.stream_position()?;
        let mut head = Vec::new();
        head.extend(LOCAL.to_le_bytes());
        [VERSION, 0, DEFLATED, 0, FIRST_DAY].iter().for_each(|n| head.extend(n.to_le_bytes()));
        head.extend([0; 12]);
        [name.len() as u16, 0].iter().for_each(|n| head.extend(n.to_le_bytes()));
        head.extend(name.as_bytes());
        self.out.write_all(&head)?;
        let encoder = DeflateEncoder::new(self.out, flate2::Compression::fast());
        Ok(Part { encoder, done: self.done, name, offset, checksum: Crc::new(), size: 0 })
    }

    /// Writes a part at once.
    pub(super) fn whole(self, name: &'static str, text: &str) -> Result<Self> {
        let mut part = self.begin(name)?;
        part.write_all(text.as_bytes())?;
        part.end()
    }

    /// Writes the list of parts and gives the file back.
    pub(super) fn finish(mut self) -> Result<File> {
        let begin = small(self.out.stream_position()?)?;
        let mut list = Vec::new();
        for part in &self.done {
            list.extend(CENTRAL.to_le_bytes());
            [VERSION, VERSION, 0, DEFLATED, 0, FIRST_DAY].iter().for_each(|n| list.extend(n.to_le_bytes()));
            [part.checksum, part.packed, part.size].iter().for_each(|n| list.extend(n.to_le_bytes()));
            [part.name.len() as u16, 0, 0, 0, 0].iter().for_each(|n| list.extend(n.to_le_bytes()));
            list.extend([0; 4]);
            list.extend(part.offset.to_le_bytes());
            list.extend(part.name.as_bytes());
        }
        let (length, parts) = (small(list.len() as u64)?, self.done.len() as u16);
        list.extend(END.to_le_bytes());
        [0, 0, parts, parts].iter().for_each(|n| list.extend(n.to_le_bytes()));
        [length, begin].iter().for_each(|n| list.extend(n.to_le_bytes()));
        list.extend([0; 2]);
        self.out.write_all(&list)?;
        self.out.into_inner().map_err(|e| Error::from(e.error().kind()))
    }
}

impl Part {
    /// Ends the part: its sizes are known now, and go into its head.
    pub(super) fn end(self) -> Result<Archive> {
        let mut out = self.encoder.finish()?;
        let after = out.stream_position()?;
        let head = self.offset + CHECKSUM_AT + 16 + self.name.len() as u64;
        let done = Done {
            name: self.name,
            offset: small(self.offset)?,
            checksum: self.checksum.sum(),
            packed: small(after - head)?,
            size: small(self.size)?,
        };
        out.seek(SeekFrom::Start(self.offset + CHECKSUM_AT))?;
        for number in [done.checksum, done.packed, done.size] {
            out.write_all(&number.to_le_bytes())?;
        }
        out.seek(SeekFrom::Start(after))?;
        let mut all = self.done;
        all.push(done);
        Ok(Archive { out, done: all })
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.encoder.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.encoder.flush()
    }
}

fn small(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::new(ErrorKind::FileTooLarge, "a part of a workbook is larger than 4 GiB"))
}
