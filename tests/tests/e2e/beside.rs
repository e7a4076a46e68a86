//! Programs that run beside a test and end with it, in whatever way it ends.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::harness::{SOON, until};
use crate::twin::signal;

/// The shell ends the program when the shell's own input ends, and ends as the
/// program does. The program's process says its own id before it becomes the program.
const SHELL: &str = r#"
exec 3<&0
sh -c 'echo $$; exec "$@"' sh "$@" </dev/null 2>&1 3<&- & program=$!
{ cat <&3; kill $program; } >/dev/null 2>&1 & watch=$!
wait $program
code=$?
kill $watch 2>/dev/null
exit $code
"#;

pub(crate) struct Beside {
    shell: Child,
    process: u32,
    output: Arc<Mutex<Vec<String>>>,
}

impl Beside {
    /// Starts a program and waits until `ready` finds something in a line of
    /// what it writes.
    pub(crate) async fn start<T>(
        program: &Path,
        arguments: &[impl AsRef<OsStr>],
        variables: &[(&str, &str)],
        ready: impl Fn(&str) -> Option<T>,
    ) -> (Self, T) {
        let name = program.display().to_string();
        let mut shell = Command::new("sh")
            .args(["-c", SHELL, "sh"])
            .arg(program)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let process = lines.next().unwrap().unwrap().parse().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let kept = output.clone();
        // A program whose output nobody reads would stop.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let beside = Self {
            shell,
            process,
            output,
        };
        let found = until(&format!("{name} to be ready"), SOON, async || {
            beside.output().iter().find_map(|line| ready(line))
        })
        .await;
        (beside, found)
    }

    /// What it has written so far, line by line.
    pub(crate) fn output(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// Asks it to end, and waits until it has. Returns its exit code.
    pub(crate) async fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        until("a program to end", SOON, async || {
            self.shell.try_wait().unwrap().map(|status| status.code())
        })
        .await
    }

    /// Sends it a signal, such as `STOP`, `CONT` or `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, &[self.process]);
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // One that is stopped would not hear of its end.
        self.signal("CONT");
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
