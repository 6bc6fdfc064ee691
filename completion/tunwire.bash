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
    --against) COMPREPLY=($(compgen -W 'stack kernel' -- "$word")); return ;;
    --reads) COMPREPLY=($(compgen -W 'window once' -- "$word")); return ;;
  esac
  case ${COMP_WORDS[1]} in
    connect) words='-4 --ipv4 -6 --ipv6 -s --source -p --source-port -z --zero -c --secure --timeout -u --udp --no-shutdown --nodelay --keepalive --prefer-ipv6 --cacert --cafile -k --trusted-site --secure-fallback --keylog --device --tun --raw --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -h --help' ;;
    listen) words='-k --keep -u --udp --echo --discard --chargen --device --tun --raw --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -h --help' ;;
    tls) words='--starttls --servername --alpn --ciphersuites --tls1_2 --tls1_3 --sess_in --sess_out --showcerts --msg --timeout --json --cacert --cafile -k --trusted-site --secure-fallback --keylog --device --tun --raw --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -h --help' ;;
    get) words='-o --output -i --include -I --head -X --request -H --header -d --data -L --location --max-redirs -f --fail --resolve --connect-to --connect-timeout -4 --ipv4 -6 --ipv6 --local-port -m --max-time -s --silent --json --cacert --cafile -k --trusted-site --secure-fallback --keylog --device --tun --raw --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -h --help' ;;
    resolve) words='-t --type -x --reverse --short --timeout --json --device --tun --raw --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -h --help' ;;
    ping) words='-4 --ipv4 -6 --ipv6 -c --count -i --interval -s --size -t --ttl -W --wait --json --device --tun --raw --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -h --help' ;;
    trace) words='-4 --ipv4 -6 --ipv6 -I --icmp -T --tcp -f --first-ttl -m --max-hops -q --queries -W --wait --json --device --tun --raw --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -h --help' ;;
    bench) words='-t --time -P --parallel -R --reverse --secure --congestion --json --cacert --cafile -k --trusted-site --secure-fallback --keylog --device --tun --raw --no-offload --mtu --vlan --addr --interface --temporary-addresses --optimistic-addresses --gw --dns --hosts --loss --delay --jitter --reorder --duplicate --corrupt --rate --down --seed --impair -w --write --capture --ring -v --verbose -h --help' ;;
    dump) words='-i --interface -c --count -X --hex --keylog --json -h --help' ;;
    ss) words='-t --tcp -u --udp -l --listening -i --info -s --statistics -m --metrics --json -h --help' ;;
    lab) words='--link --serve -v --verbose -h --help' ;;
    doctor) words='--json -h --help' ;;
    demo) words='-h --help' ;;
    script) words='--profile --lenient --define --junit --against --packetdrill --jobs -h --help' ;;
    replay) words='--connection --strict --exact --json --seed --window-tolerance --time-tolerance --patience --reads --nagle --congestion --recv-buffer --send-buffer -h --help' ;;
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _tunwire tunwire
