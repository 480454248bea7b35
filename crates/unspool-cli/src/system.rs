//! What differs from system to system: standard streams and pipes.

#[cfg(unix)]
pub(crate) use unix::{Pipe, is_piped, stdout};

#[cfg(not(unix))]
pub(crate) use other::{Pipe, is_piped, stdout};

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::FileTypeExt;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use tokio::io::Interest;
    use tokio::net::unix::pipe;

    /// A pipe whose reader may go away.
    pub(crate) struct Pipe(pipe::Sender);

    impl Pipe {
        /// Watches a file, if it is a pipe. It is never written to here, so that it stays
        /// blocking for whoever else has it open, and for the writer.
        pub(crate) fn watch(file: &File) -> Option<Self> {
            let is_pipe = file.metadata().ok()?.file_type().is_fifo();
            let file = file.try_clone().ok().filter(|_| is_pipe)?;
            pipe::Sender::from_file_unchecked(file).ok().map(Pipe)
        }

        /// Waits until the reader closes it.
        pub(crate) async fn closed(&self) {
            // An error of the wait itself says nothing of the pipe.
            let _ = self.0.ready(Interest::ERROR).await;
        }
    }

    /// Whether the program was started without standard output.
    static IS_CLOSED: AtomicBool = AtomicBool::new(false);

    /// Looks before the standard library does, which opens `/dev/null` in the place of what is
    /// closed: after that nothing tells it from a `/dev/null` that was given.
    #[ctor::ctor]
    fn look_at_stdout() {
        let stdout = rustix::io::fcntl_getfd(rustix::stdio::stdout());
        IS_CLOSED.store(stdout.is_err(), Relaxed);
    }

    /// Standard output, as a file.
    pub(crate) fn stdout() -> io::Result<File> {
        if IS_CLOSED.load(Relaxed) {
            return Err(io::Error::other("standard output is closed"));
        }
        duplicate(io::stdout().as_fd())
    }

    /// Whether standard input is a pipe, a file or a socket, and not a terminal or
    /// `/dev/null`.
    pub(crate) fn is_piped() -> bool {
        let kind = duplicate(io::stdin().as_fd()).and_then(|file| Ok(file.metadata()?.file_type()));
        kind.is_ok_and(|kind| kind.is_fifo() || kind.is_file() || kind.is_socket())
    }

    fn duplicate(descriptor: BorrowedFd<'_>) -> io::Result<File> {
        descriptor.try_clone_to_owned().map(File::from)
    }
}

#[cfg(not(unix))]
mod other {
    use std::fs::File;
    use std::io::{self, IsTerminal};

    /// Pipes whose reader goes away are noticed only when they are written to.
    pub(crate) enum Pipe {}

    impl Pipe {
        pub(crate) fn watch(_: &File) -> Option<Self> {
            None
        }

        pub(crate) async fn closed(&self) {
            match *self {}
        }
    }

    /// Standard output, as a file.
    #[cfg(windows)]
    pub(crate) fn stdout() -> io::Result<File> {
        use std::os::windows::io::AsHandle;
        Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
    }

    /// Whether standard input is something other than a terminal.
    pub(crate) fn is_piped() -> bool {
        !io::stdin().is_terminal()
    }
}
