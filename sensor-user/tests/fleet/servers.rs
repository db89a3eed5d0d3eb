//! The real servers.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{self, Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::{until, user};

/// A server that goes with this; of one process, so that nothing outlives it.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    fn start(mut command: Command, address: SocketAddr, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        until("the server answers", || TcpStream::connect(address).is_ok());
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's program: as `cargo xtask fleet` unpacked it, or as the machine has it.
pub fn program(name: &str) -> Option<PathBuf> {
    let unpacked = path::absolute("../target/tools/servers").unwrap();
    let own = ["usr/sbin", "usr/bin"].map(|below| unpacked.join(below));
    let path = env::var_os("PATH").unwrap_or_default();
    let places = own.into_iter().chain(env::split_paths(&path)).chain(["/usr/sbin".into()]);
    places.map(|place| place.join(name)).find(|program| program.is_file())
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// nginx, serving the files below `root`, on the port of loopback that VMs were told, if there are any.
pub fn nginx(directory: &Path, root: &Path) -> Server {
    let told = env::var("CREANCE_FLEET_WEB").ok().map(|port| (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into());
    let address = told.unwrap_or_else(free);
    let own = directory.join("nginx");
    fs::create_dir_all(&own).unwrap();
    let (here, root) = (own.display(), root.display());
    let user = if user() == 0 { "user root;" } else { "" };
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here}/{kind};"));
    let config = format!(
        "{user}\ndaemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/error.log;\nevents {{ worker_connections 512; }}\n\
         http {{\n{}\naccess_log {here}/access.log;\nserver {{ listen {address}; root {root}; etag on; }}\n}}\n",
        temporary.join("\n")
    );
    fs::write(own.join("nginx.conf"), config).unwrap();
    let mut command = Command::new(program("nginx").unwrap());
    command.arg("-c").arg(own.join("nginx.conf")).arg("-p").arg(&own).arg("-e").arg(own.join("error.log"));
    Server::start(command, address, &own.join("output"))
}

/// Prometheus, looking at these hosts once in so many seconds, with the rules that we ship.
pub fn prometheus(directory: &Path, hosts: &[SocketAddr], every: u32) -> Server {
    let address = free();
    let own = directory.join("prometheus");
    fs::create_dir_all(&own).unwrap();
    let targets: Vec<_> = hosts.iter().map(|host| format!("'{host}'")).collect();
    let rules = path::absolute("../packaging/prometheus/creance.rules.yml").unwrap();
    let config = format!(
        "global: {{ scrape_interval: {every}s, scrape_timeout: {every}s, evaluation_interval: {every}s }}\nrule_files: ['{}']\nscrape_configs:\n  - \
         job_name: creance\n    static_configs: [{{ targets: [{}] }}]\n",
        rules.display(),
        targets.join(", ")
    );
    fs::write(own.join("prometheus.yml"), config).unwrap();
    let mut command = Command::new(program("prometheus").unwrap());
    command
        .arg(format!("--config.file={}", own.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", own.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=warn");
    Server::start(command, address, &own.join("output"))
}
