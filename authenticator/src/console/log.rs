use tracing::Level;

/// Tells on standard error what goes on inside: nothing much at 0, steps at 1 (`-v`), every message
/// and advert at 2 (`-vv`). With `json` each is a line of JSON, as all that a program reads there.
///
/// Nothing that is told names a tunnel, a secret or what a message carries.
pub fn start_log(verbose: u8, json: bool) {
    let level = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    // Fails only if a log is there already, which then does it.
    let _ = match json {
        true => log.json().try_init(),
        false => log.without_time().try_init(),
    };
}
