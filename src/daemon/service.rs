//! As a service of Windows: what its service control manager is told, and what it orders.
//!
//! The service is made as that of the official package, with the program itself and its flags as its command:
//! `sc.exe create AWSXRayDaemon binPath= "C:\…\xray.exe -f C:\…\xray-daemon.log"`. A process learns only by asking that it was
//! started as a service; [`run`] asks. The manager has its own threads call here, so what is shared with them is static.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{define_windows_service, service_dispatcher};

use super::signals::{Stop, of_service};

/// The name that the official package's script gives the service. One under another name works as well: the manager tells a
/// process with one service nothing apart by it.
pub const NAME: &str = "AWSXRayDaemon";

/// What Windows answers to who asks without being a service: `ERROR_FAILED_SERVICE_CONTROLLER_CONNECT`.
const NOT_A_SERVICE: i32 = 1063;

/// What a start may take before the manager thinks that it hangs: files, sockets, a large spool's index.
const START_TAKES: Duration = Duration::from_secs(20);

/// What the end may take beyond the shutdown timeout: as [`super::supervisor`] has it for systemd.
const BEYOND_TIMEOUT: Duration = Duration::from_secs(2);

/// What the service does, and how that ended.
type Work = Box<dyn FnOnce() -> ExitCode + Send>;

/// Handed from [`run`] to the thread that the manager starts, with what [`run`] waits for the end of.
static WORK: Mutex<Option<(Work, Sender<()>)>> = Mutex::new(None);

/// Where the manager is told. Empty in a process that is no service.
static MANAGER: OnceLock<ServiceStatusHandle> = OnceLock::new();

define_windows_service!(of_manager, service);

/// Does `work` as a service, if that is what this process was started as; else gives it back.
///
/// # Errors
/// When the manager refuses the service.
pub fn run(work: Work) -> io::Result<Option<Work>> {
    // A service has no console.
    if io::stdout().is_terminal() || io::stderr().is_terminal() {
        return Ok(Some(work));
    }
    let (doing, done) = channel();
    *WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some((work, doing));
    match service_dispatcher::start(NAME, of_manager) {
        Ok(()) => {
            // Wine comes back when it has passed on the order to stop, and the end of this thread is that of the process.
            // Nothing is ever sent: what comes is that the other side is gone.
            let _ = done.recv();
            Ok(None)
        }
        Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(NOT_A_SERVICE) => {
            let work = WORK.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok(work.map(|(work, _)| work))
        }
        Err(windows_service::Error::Winapi(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The service from its start to its end, on a thread of the manager's.
fn service(_: Vec<OsString>) {
    let Some((work, _doing)) = WORK.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return;
    };
    let manager = service_control_handler::register(NAME, |order| match order {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            of_service::ORDER.notify_one();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    });
    // Without it the manager ends the service; nobody could be told why.
    let Ok(manager) = manager else {
        return;
    };
    let manager = MANAGER.get_or_init(|| manager);
    of_service::IS_ONE.store(true, Ordering::SeqCst);
    tell(manager, ServiceState::StartPending, START_TAKES, 0);
    let code = work();
    tell(
        manager,
        ServiceState::Stopped,
        Duration::ZERO,
        u32::from(code != ExitCode::SUCCESS),
    );
}

/// Says that the daemon receives: who is started after it finds it there.
pub(super) fn ready() {
    if let Some(manager) = MANAGER.get() {
        tell(manager, ServiceState::Running, Duration::ZERO, 0);
    }
}

/// Says, once `stop` says so, that the end has begun and may take `shutdown_timeout`. Never ends by itself.
pub(super) async fn keep_told(mut stop: watch::Receiver<Stop>, shutdown_timeout: Duration) {
    if let Some(manager) = MANAGER.get()
        && stop.wait_for(|stop| *stop != Stop::Run).await.is_ok()
    {
        tell(
            manager,
            ServiceState::StopPending,
            shutdown_timeout + BEYOND_TIMEOUT,
            0,
        );
    }
    std::future::pending::<()>().await;
}

fn tell(manager: &ServiceStatusHandle, state: ServiceState, takes: Duration, code: u32) {
    let accepts = match state {
        ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
        _ => ServiceControlAccept::empty(),
    };
    let status = ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepts,
        exit_code: match code {
            0 => ServiceExitCode::NO_ERROR,
            code => ServiceExitCode::ServiceSpecific(code),
        },
        checkpoint: u32::from(matches!(
            state,
            ServiceState::StartPending | ServiceState::StopPending
        )),
        wait_hint: takes,
        process_id: None,
    };
    if let Err(error) = manager.set_service_status(status) {
        tracing::warn!(
            error = %error,
            state = ?state,
            "The service control manager can't be told that this service is {state:?}: {error}. It may end the service for \
             that; see the System log of Windows"
        );
    }
}
