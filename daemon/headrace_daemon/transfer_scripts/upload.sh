if [ -z "$local_file" ] || [ -z "$remote_path" ]; then
    fail 2 "Usage: sh $0 FILE /where/it/goes/on/$system"
fi
[ -f "$local_file" ] || fail 2 "$local_file: there is no such file"
[ -r "$local_file" ] || fail 2 "$local_file: you may not read it"
case $remote_path in
*/) remote_path=$remote_path${local_file##*/} ;;
esac
check_use
size=$(size_of "$local_file")
open_work

# What is uploaded, as exactly as can be told cheaply: a remembered upload of anything else is not gone on with.
# shellcheck disable=SC2012
look() {
    ls -lnL -- "$local_file" | sed 1q
}
about="$api $system $remote_path $(look)"

# Sends one part: the worker of xargs. $1: its number. Leaves its ETag in etag.N, or nothing for another round.
cat >"$work/part.sh" <<'END'
set -eu
number=$1
first=$(((number - 1) * part_size))
length=$((size - first))
[ "$length" -le "$part_size" ] || length=$part_size

slice() {
    dd if="$local_file" bs="$block" skip="$((first / block))" count="$(((length + block - 1) / block))" 2>/dev/null
}

# Sets status. The length is said, for S3 takes no body without it; the MD5 lets S3 refuse what arrived otherwise.
send() {
    cat >"$work/curl.$number" <<CONFIG
url = "$(sed -n "${number}p" "$work/urls")"
header = "Content-Length: $length"
header = "Transfer-Encoding:"
header = "Expect:"
CONFIG
    if [ -n "$md5" ]; then
        cat >>"$work/curl.$number" <<CONFIG
header = "Content-MD5: $md5"
CONFIG
    fi
    status=$(slice | curl --config "$work/curl.$number" --silent --show-error --http1.1 --upload-file - \
        --dump-header "$work/head.$number" --output "$work/said.$number" --write-out '%{http_code}' \
        --connect-timeout 20 --speed-limit 1 --speed-time 120) || :
}

md5=''
if command -v openssl >/dev/null 2>&1; then
    md5=$(slice | openssl dgst -md5 -binary 2>/dev/null | openssl base64 2>/dev/null) || md5=''
fi
for pause in 1 3 10; do
    send
    case $status in
    200)
        etag=$(sed -n 's/^[Ee][Tt][Aa][Gg]: *//p' "$work/head.$number" | tr -d '\r' | sed -n '$p')
        if [ -n "$etag" ]; then
            printf '%s\n' "$etag" >"$work/new.$number"
            mv "$work/new.$number" "$work/etag.$number"
            exit 0
        fi
        ;;
    403) exit 0 ;; # its time is over: the next round has new URLs
    404) exit 0 ;; # the upload was given up
    esac
    printf 'part %s: %s, again in %s s\n' "$number" "$status" "$pause" >&2
    sleep "$pause"
done
END

# The numbers of the parts that have no ETag yet, a line each.
missing() {
    number=1
    while [ "$number" -le "$count" ]; do
        [ -s "$work/etag.$number" ] || echo "$number"
        number=$((number + 1))
    done
}

# Sets id, part_size, count, and writes the URLs. Returns 1 where the upload waits for nothing more.
offer() {
    if [ -f "$work/transfer" ]; then
        id=$(cat "$work/transfer")
        ask POST "/v1/transfers/$id/urls" '{}'
        [ "$status" != 409 ] || return 1
        if [ "$status" = 404 ]; then # nobody knows it any more: from the beginning
            rm -f "$work/transfer" "$work"/etag.*
            offer
            return
        fi
        [ "$status" = 200 ] || refused 1
    else
        ask POST /v1/transfers/uploads \
            "{\"system\":\"$(json "$system")\",\"path\":\"$(json "$remote_path")\",\"size\":$size,\"account\":\"$(json "${HEADRACE_ACCOUNT-}")\"}"
        [ "$status" = 201 ] || refused 2
        id=$(told transfer)
        printf '%s\n' "$about" >"$work/about"
        printf '%s\n' "$id" >"$work/transfer"
    fi
    part_size=$(told part_size)
    sed -n 's/^part //p' "$work/answer" >"$work/urls"
    told complete >"$work/url"
    count=$(($(wc -l <"$work/urls")))
    : >"$work/answer"
    block=$(block_for "$part_size")
}

# Rounds of what is missing, with new URLs each, as long as something gets through.
send_parts() {
    rounds=0
    offer || return 0
    say "transfer $id: $count parts of $size bytes"
    export work local_file size part_size block
    while left=$(missing) && [ -n "$left" ]; do
        before=$left
        printf '%s\n' "$left" | xargs -n 1 -P "${HEADRACE_PARALLEL:-4}" sh "$work/part.sh" || :
        left=$(missing)
        [ -n "$left" ] || break
        if [ "$left" = "$before" ]; then
            rounds=$((rounds + 1))
            [ "$rounds" -lt 4 ] || not_now "Nothing gets through."
            sleep $((rounds * 5))
        else
            rounds=0
        fi
        offer || return 0
    done
    [ "$about" = "$api $system $remote_path $(look)" ] ||
        give_up "$local_file changed while it was read: nothing was written to $remote_path."
    finish
}

# Says that these are all parts. Its answer may be lost, or come as an error within a 200: what counts is what Headrace
# sees in the bucket.
finish() {
    {
        printf '<CompleteMultipartUpload>'
        number=1
        while [ "$number" -le "$count" ]; do
            printf '<Part><PartNumber>%s</PartNumber><ETag>%s</ETag></Part>' "$number" "$(cat "$work/etag.$number")"
            number=$((number + 1))
        done
        printf '</CompleteMultipartUpload>\n'
    } >"$work/complete.xml"
    cat >"$work/curl.complete" <<END
url = "$(cat "$work/url")"
header = "Content-Type: application/xml"
header = "Expect:"
END
    for pause in 1 3 10 30 0; do
        status=$(curl --config "$work/curl.complete" --silent --show-error --request POST \
            --data-binary "@$work/complete.xml" --output "$work/said.complete" --write-out '%{http_code}' \
            --connect-timeout 20 --max-time 900) || :
        if [ "$status" = 200 ] && ! grep -q '<Error>' "$work/said.complete"; then
            return 0
        fi
        [ "$status" != 404 ] || return 0 # an earlier attempt got through, or it was given up: Headrace will tell
        sleep "$pause"
    done
    patience=900
}

give_up() {
    ask POST "/v1/transfers/$id/cancel"
    rm -f "$work/transfer"
    fail 1 "$@"
}

not_now() {
    if [ -n "${HEADRACE_WORK-}" ]; then
        fail 1 "$* Call the same command again to go on with what is missing."
    fi
    give_up "$*"
}

if [ -f "$work/transfer" ] && [ "$(cat "$work/about" 2>/dev/null)" != "$about" ]; then
    fail 2 "$work remembers the upload of something else: remove it, or name another folder."
fi
patience=0
send_parts
await waiting "$patience" || not_now "The parts are there, but S3 did not take them as one object."
case $state in
done)
    stored=$(told size)
    crc=$(told crc64nvme)
    rm -f "$work/transfer"
    [ "$stored" = "$size" ] || fail 1 "$remote_path has $stored bytes in place of $size."
    say "$remote_path: $size bytes${crc:+, CRC64NVME $crc}"
    ;;
*)
    error=$(told error)
    rm -f "$work/transfer"
    fail 4 "transfer $id: $state${error:+: $error}"
    ;;
esac
