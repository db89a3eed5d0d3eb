if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An upgrade: what is in force stays for the new daemon.
	[ "$1" = 0 ] || systemctl try-restart creance.service
fi
# A daemon that was killed before it could be stopped has left its programs in force.
[ "$1" != 0 ] || rm -rf /sys/fs/bpf/creance
