getent group creance > /dev/null || groupadd --system creance
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = 1 ]; then
	systemctl --quiet enable creance.service
	[ ! -d /run/systemd/system ] || systemctl start creance.service
fi
