if [ "$1" = 0 ]; then
	systemctl --quiet disable creance.service
	[ ! -d /run/systemd/system ] || systemctl stop creance.service
fi
