//! Ctrl-C and the deadline, also where the program is too busy to notice them.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::exit::Exit;

/// How long after its deadline a run may still take to say how it ended.
const GRACE: Duration = Duration::from_secs(3);

static INTERRUPTED: OnceLock<Arc<Notify>> = OnceLock::new();

/// Whether a run has begun, which ends well when it is asked to.
static IS_AWAITED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C, and where there is one for SIGTERM, from now on. The first asks the
/// run to end; the second ends the process, from a thread of its own, whatever the run does,
/// and so does the first where no run has begun: then a file or standard input is being read.
///
/// # Errors
///
/// The system does not let a program listen.
pub(crate) fn listen() -> std::io::Result<()> {
    let interrupted = Arc::new(Notify::new());
    if INTERRUPTED.set(Arc::clone(&interrupted)).is_err() {
        return Ok(());
    }
    let mut is_second = false;
    on_signal(move || {
        if std::mem::replace(&mut is_second, true) || !IS_AWAITED.load(Relaxed) {
            process::exit(Exit::Interrupted as i32);
        }
        interrupted.notify_one();
    })
}

#[cfg(unix)]
fn on_signal(mut act: impl FnMut() + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            act();
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn on_signal(mut act: impl FnMut() + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                act();
            }
        });
    });
    Ok(())
}

/// Waits for the first Ctrl-C.
pub(crate) async fn interrupted() {
    IS_AWAITED.store(true, Relaxed);
    match INTERRUPTED.get() {
        Some(interrupted) => interrupted.notified().await,
        None => std::future::pending().await,
    }
}

/// Ends the process some time after a deadline that a busy program missed; not after it is
/// dropped.
pub(crate) struct Watchdog {
    is_off: Arc<AtomicBool>,
}

impl Watchdog {
    pub(crate) fn start(deadline: Option<Duration>) -> Self {
        let is_off = Arc::new(AtomicBool::new(false));
        if let Some(limit) = deadline {
            let is_off = Arc::clone(&is_off);
            std::thread::spawn(move || {
                std::thread::sleep(limit.saturating_add(GRACE));
                if !is_off.load(Relaxed) {
                    crate::report::problem(&format!(
                        "error: not complete within {limit:?}, the deadline, and too busy to stop"
                    ));
                    process::exit(Exit::Failed as i32);
                }
            });
        }
        Watchdog { is_off }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.is_off.store(true, Relaxed);
    }
}
