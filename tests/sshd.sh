# sshd.sh: for scripts that source it: an sshd of their own on a free port of loopback.
#
# Keys, configuration, known hosts and the home of its sessions are below $dir.  Sets
# ssh_config, for ssh -F, in which the host is called phone.

# Exits with 77 where there is none.
sshd_find() {
	sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) || {
		echo 'no sshd: install openssh-server'
		exit 77
	}
	for tool in ssh scp ssh-keygen; do
		command -v $tool >/dev/null || {
			echo "no $tool: install openssh-client"
			exit 77
		}
	done
}

sshd_make() {
	ssh_dir=$dir/ssh ssh_config=$dir/ssh/config sshd_pid=
	mkdir -m 700 "$ssh_dir"
	# What sshd of Debian insists on when it is root.
	[ "$(id -u)" -ne 0 ] || mkdir -p -m 755 /run/sshd
	for key in host user; do
		ssh-keygen -q -t ed25519 -N '' -f "$ssh_dir/$key" || exit 1
	done
	cp "$ssh_dir/user.pub" "$ssh_dir/authorized_keys"
	cat >"$ssh_dir/sshd_config" <<-END
		ListenAddress 127.0.0.1
		HostKey $ssh_dir/host
		AuthorizedKeysFile $ssh_dir/authorized_keys
		PidFile none
		StrictModes no
		UsePAM no
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		PermitRootLogin prohibit-password
		PrintMotd no
		SetEnv HOME=$ssh_dir
		Subsystem sftp internal-sftp
	END
	for try in 1 2 3 4 5 6 7 8 9 10; do
		# shellcheck disable=SC2018
		port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 30000))
		sshd_start && break
	done
	[ -n "$sshd_pid" ] || {
		echo "sshd does not start: $(tail -n 3 "$ssh_dir/log")"
		exit 1
	}
	printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$ssh_dir/host.pub")" >"$ssh_dir/known_hosts"
	cat >"$ssh_config" <<-END
		Host phone
			HostName 127.0.0.1
			Port $port
			User $(id -un)
			IdentityFile $ssh_dir/user
			IdentitiesOnly yes
			UserKnownHostsFile $ssh_dir/known_hosts
			GlobalKnownHostsFile /dev/null
			StrictHostKeyChecking yes
	END
}

# Again on the same port after sshd_stop.
sshd_start() {
	"$sshd" -D -e -f "$ssh_dir/sshd_config" -p "$port" 2>"$ssh_dir/log" &
	sshd_pid=$!
	for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
		! grep -qs 'Server listening' "$ssh_dir/log" || return 0
		kill -0 "$sshd_pid" 2>/dev/null || break
		sleep 0.1
	done
	sshd_stop
	return 1
}

# The processes that a process has started, and theirs.
descendants() {
	for child in $(sed -n "s/^\([0-9]*\) (.*) [A-Z] $1 .*/\1/p" /proc/[0-9]*/stat 2>/dev/null); do
		echo "$child"
		descendants "$child"
	done
}

# Cuts every link: sshd's processes for them, not what they have started.
sshd_cut() {
	for process in $(descendants "$sshd_pid"); do
		! tr '\0' ' ' 2>/dev/null <"/proc/$process/cmdline" | grep -q '^sshd' ||
			kill -9 "$process" 2>/dev/null
	done
}

sshd_stop() {
	[ -z "$sshd_pid" ] || {
		kill "$sshd_pid" 2>/dev/null
		wait "$sshd_pid" 2>/dev/null
	}
	sshd_pid=
}
