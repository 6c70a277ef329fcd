# What both directions share. Needs sh, curl (7.55 or newer), dd, sed, xargs with -P; openssl to compare checksums.
#
#   HEADRACE_TOKEN     the token, as it was given to you
#   HEADRACE_ACCOUNT   the project that the transfer is charged to, where the system wants one
#   HEADRACE_PARALLEL  parts of an upload at once (4)
#   HEADRACE_WORK      a folder that remembers an upload, so that the same command goes on with it after an interruption
#   CURL_CA_BUNDLE     certificates to trust besides those of the system
#
# Exit code: 0 it is there, proven by its size and, where openssl is, by checksum; 1 it is not, try again; 2 wrong use;
# 4 Headrace says that the transfer failed; 130 interrupted. Neither the token nor a presigned URL stands in the
# arguments of any program, where other people of this machine could read it.
set -eu
LC_ALL=C
export LC_ALL

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    code=$1
    shift
    say "$*"
    exit "$code"
}

# $1: a program. A shell finds its own commands there, too.
has() {
    command -v "$1" >/dev/null 2>&1
}

check_use() {
    case ${HEADRACE_TOKEN-} in
    '') fail 2 "Set HEADRACE_TOKEN to your token." ;;
    *[!A-Za-z0-9._~+/=:-]*) fail 2 'HEADRACE_TOKEN has characters that no token has; is there a line too many?' ;;
    esac
    token=$HEADRACE_TOKEN
    unset HEADRACE_TOKEN
    case $local_file$remote_path in
    *[[:cntrl:]]*) fail 2 'Names with line breaks or other control characters need another client.' ;;
    esac
    has curl || fail 2 'This needs curl.'
}

# The folder for what is secret or in between; nobody else can read it.
open_work() {
    umask 077
    if [ -n "${HEADRACE_WORK-}" ]; then
        work=$HEADRACE_WORK
        mkdir -p "$work"
    else
        work=$(mktemp -d "${TMPDIR:-/tmp}/headrace.XXXXXX")
    fi
    trap close_work EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    cat >"$work/auth" <<END
header = "Authorization: Bearer $token"
END
}

close_work() {
    rm -f "$work/auth" "$work/answer" "$work/asked" "$work/urls" "$work/url" "$work/head" "$work"/curl.* "$work"/said.* \
        "$work"/head.* "$work"/new.* "$work/part.sh" "$work/complete.xml"
    if [ -n "${HEADRACE_WORK-}" ] && [ -f "$work/transfer" ]; then
        return
    fi
    rm -f "$work"/etag.* "$work/transfer" "$work/about"
    rmdir "$work" 2>/dev/null || :
}

# $1 as the inside of a JSON string.
json() {
    printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g'
}

# $1: method, $2: path, $3: JSON to send, if any. Sets status; the answer is in $work/answer, a line "NAME VALUE" for
# each thing that is told. Where Headrace has too much to do or cannot be reached, curl waits and asks again.
ask() {
    status=000
    : >"$work/answer"
    if [ $# -gt 2 ]; then
        printf '%s' "$3" >"$work/asked"
        set -- "$1" "$2" --header 'Content-Type: application/json' --data-binary "@$work/asked"
    fi
    method=$1 url=$api$2
    shift 2
    status=$(curl --config "$work/auth" --silent --show-error --request "$method" --header 'Accept: text/plain' \
        --output "$work/answer" --write-out '%{http_code}' --retry 6 --connect-timeout 20 --max-time 180 "$@" "$url") || :
}

# $1: the name of a thing that the answer tells; prints its value, or nothing.
told() {
    sed -n "s/^$1 //p" "$work/answer" | sed 1q
}

# Ends with what the API said against it. Its refusals are JSON with the reason as "detail".
refused() {
    reason=$(sed -n 's/.*"detail": *"\(\([^"\\]\|\\.\)*\)".*/\1/p' "$work/answer" | sed 1q)
    [ -n "$reason" ] || reason=$(sed 5q "$work/answer")
    case $status in
    000) fail 1 "$api cannot be reached." ;;
    5* | 429) fail 1 "$api: $status ${reason:-no answer}" ;;
    *) fail "$1" "$api: $status $reason" ;;
    esac
}

# Waits until the transfer $id has left the states that $1 matches; sets state. $2: for how many seconds a state does
# not have to change, 0 for as long as it takes. A short absence of Headrace does no harm.
await() {
    pause=1 waited=0 silent=0 state='' last=''
    while :; do
        ask GET "/v1/transfers/$id"
        case $status in
        200)
            silent=0
            state=$(told state)
            case $state in
            "$1" | moving) ;;
            *) return 0 ;;
            esac
            if [ "$state" != "$last" ]; then
                say "transfer $id: $state"
                last=$state waited=0
            fi
            ;;
        401 | 403 | 404) refused 1 ;;
        *)
            silent=$((silent + 1))
            [ "$silent" -le 60 ] || refused 1
            ;;
        esac
        [ "$2" -eq 0 ] || [ "$waited" -lt "$2" ] || return 1
        sleep "$pause"
        waited=$((waited + pause))
        pause=$((1 + waited / 10)) # a tenth of the wait at most is in vain
        [ "$pause" -le 15 ] || pause=15
    done
}

# The size of a file in bytes; 0 where there is none.
size_of() {
    if [ -f "$1" ]; then
        echo $(($(wc -c <"$1")))
    else
        echo 0
    fi
}

# $1: bytes. The largest block that divides it, so that dd can begin at any part of that size.
block_for() {
    for block in 1048576 65536 4096 512; do
        if [ $(($1 % block)) -eq 0 ]; then
            echo "$block"
            return
        fi
    done
    echo 1
}
