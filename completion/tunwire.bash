# bash completion for tunwire
_tunwire() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W 'connect listen tls get resolve ping trace bench dump ss lab doctor demo script replay help' -- "$word"))
    return
  fi
  case $before in
    --starttls) COMPREPLY=($(compgen -W 'smtp pop3 imap sieve ftp ldap xmpp postgres mysql' -- "$word")); return ;;
    --link) COMPREPLY=($(compgen -W 'tun veth' -- "$word")); return ;;
    --profile) COMPREPLY=($(compgen -W 'default freebsd linux' -- "$word")); return ;;
    --against) COMPREPLY=($(compgen -W 'stack kernel both' -- "$word")); return ;;
    --reads) COMPREPLY=($(compgen -W 'window once' -- "$word")); return ;;
  esac
  case ${COMP_WORDS[1]} in
    connect) words='-4 --ipv4 -6 --ipv6 -s --source -p --source-port -z --zero -d --no-stdin -i --interval -N -c --secure -e --servername --timeout -u --udp --no-shutdown --nodelay --keepalive --prefer-ipv6 --cacert --cafile -k --trusted-site --secure-fallback --keylog --link --device --tun --raw --pcap-in --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --dup --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -q --quiet -h --help' ;;
    listen) words='-k --keep --any-port --all-ports -u --udp --echo --discard --chargen --link --device --tun --raw --pcap-in --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --dup --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -q --quiet -h --help' ;;
    tls) words='--starttls --connect --servername --alpn --ciphersuites --groups --tls1_2 --tls1_3 --sess_in --sess_out --showcerts --state --brief --verify_return_error --msg --timeout --json --cacert --cafile -k --trusted-site --secure-fallback --keylog --link --device --tun --raw --pcap-in --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --dup --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -q --quiet -h --help' ;;
    get) words='-o --output -i --include -I --head -X --request -H --header -d --data -L --location --max-redirs -f --fail --resolve --connect-to --connect-timeout -4 --ipv4 -6 --ipv6 --local-port --keepalive-time --no-keepalive --tcp-nodelay --no-tcp-nodelay --trace-ascii --write-out -m --max-time -s --silent --json --cacert --cafile -k --trusted-site --secure-fallback --keylog --link --device --tun --raw --pcap-in --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --dup --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -q --quiet -h --help' ;;
    resolve) words='-t --type -x --reverse --short --timeout --json --link --device --tun --raw --pcap-in --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --dup --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -q --quiet -h --help' ;;
    ping) words='-4 --ipv4 -6 --ipv6 -c --count -i --interval -s --size -t --ttl -W --wait -n --numeric --json --link --device --tun --raw --pcap-in --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --dup --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -q --quiet -h --help' ;;
    trace) words='-4 --ipv4 -6 --ipv6 -I --icmp -T --tcp -f --first-ttl -m --max-hops -q --queries -W --wait -n --numeric --json --link --device --tun --raw --pcap-in --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --dup --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose --quiet -h --help' ;;
    bench) words='-c --client -s --server -u --udp -b --bitrate -l --length -t --time -P --parallel -R --reverse --secure --congestion --json --cacert --cafile -k --trusted-site --secure-fallback --keylog --link --device --tun --raw --pcap-in --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --dup --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -q --quiet -h --help' ;;
    dump) words='-i --interface -c --count -r --read -w --write -s --snapshot-length -e --link-level -n --numeric -U --packet-buffered -X --hex --keylog --json -h --help' ;;
    ss) words='-t --tcp -u --udp -l --listening -i --info -s --statistics -m --metrics --json -h --help' ;;
    lab) words='--link --serve -v --verbose -h --help' ;;
    doctor) words='--json -h --help' ;;
    demo) words='-h --help' ;;
    script) words='--profile --lenient --define --junit --against --packetdrill --jobs --seed --known-gaps -h --help' ;;
    replay) words='--connection --strict --exact --json --seed --window-tolerance --time-tolerance --patience --reads --nagle --congestion --recv-buffer --send-buffer --onto --speed --loop --map --filter -h --help' ;;
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _tunwire tunwire
