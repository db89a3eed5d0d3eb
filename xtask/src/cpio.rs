//! The archive format of an initramfs (`newc`), as much of it as is needed.

/// An archive being written. Directories must come before what is in them.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inodes: u32,
}

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

impl Archive {
    /// A directory, mode 755.
    pub fn directory(&mut self, path: &str) {
        let inode = self.next_inode();
        self.entry(&Header { inode, mode: DIRECTORY | 0o755, links: 2, device: (0, 0) }, path, &[]);
    }

    /// A file under one or more names (hard links, so that each name is a path of its own in the guest).
    pub fn file(&mut self, paths: &[&str], permissions: u32, content: &[u8]) {
        let inode = self.next_inode();
        let links = u32::try_from(paths.len()).unwrap_or(u32::MAX);
        for (index, path) in paths.iter().enumerate() {
            let content = if index == 0 { content } else { &[] };
            self.entry(&Header { inode, mode: FILE | permissions, links, device: (0, 0) }, path, content);
        }
    }

    /// A character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        let inode = self.next_inode();
        self.entry(&Header { inode, mode: CHARACTER_DEVICE | 0o600, links: 1, device: (major, minor) }, path, &[]);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(&Header { inode: 0, mode: 0, links: 1, device: (0, 0) }, "TRAILER!!!", &[]);
        self.bytes
    }

    fn next_inode(&mut self) -> u32 {
        self.inodes += 1;
        self.inodes
    }

    fn entry(&mut self, header: &Header, path: &str, content: &[u8]) {
        let numbers: [u32; 13] = [
            header.inode,
            header.mode,
            0, // uid
            0, // gid
            header.links,
            0, // mtime: none, so that two archives of the same content are the same
            u32::try_from(content.len()).unwrap_or(u32::MAX),
            0, // device of the file itself
            0,
            header.device.0,
            header.device.1,
            u32::try_from(path.len() + 1).unwrap_or(u32::MAX),
            0, // checksum, unused in this variant
        ];
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            self.bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

struct Header {
    inode: u32,
    mode: u32,
    links: u32,
    device: (u32, u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_laid_out_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.file(&["a", "bc"], 0o755, b"hello");
        let bytes = archive.finish();
        let head = "07070100000001000081ed000000000000000000000002000000000000000500000000000000000000000000000000";
        assert!(bytes.starts_with(head.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..117], b"hello");
        assert_eq!(&bytes[120..126], b"070701", "the second name follows on a multiple of four");
        assert_eq!(bytes.len() % 4, 0);
    }
}
