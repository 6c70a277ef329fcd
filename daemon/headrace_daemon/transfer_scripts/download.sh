if [ -z "$local_file" ] || [ -z "$remote_path" ]; then
    fail 2 "Usage: sh $0 /where/it/is/on/$system FILE"
fi
if [ -d "$local_file" ]; then
    local_file=${local_file%/}/${remote_path##*/}
fi
check_use
mask=$(umask)
open_work
has openssl || say 'There is no openssl here: only the size will be compared.'

ask POST /v1/transfers/downloads \
    "{\"system\":\"$(json "$system")\",\"path\":\"$(json "$remote_path")\",\"account\":\"$(json "${HEADRACE_ACCOUNT-}")\"}"
[ "$status" = 201 ] || refused 2
id=$(told transfer)
told url >"$work/url"
await waiting 0
if [ "$state" != ready ]; then
    error=$(told error)
    fail 4 "transfer $id: $state${error:+: $error}"
fi
size=$(told size)
part_size=$(told staged_part_size)
etag=$(told etag | tr -cd 'A-Za-z0-9-')

# What was fetched of exactly this content goes on where it was: the name tells which it is.
part=$local_file.headrace-${etag:-$id}
say "transfer $id: $size bytes"

# New URLs, where those that were given have ended.
sign_again() {
    ask POST "/v1/transfers/$id/urls" '{}'
    [ "$status" = 200 ] || refused 1
    told url >"$work/url"
    : >"$work/answer"
}

# Fetches what is missing of $part. Sets status.
fetch() {
    cat >"$work/curl.get" <<END
url = "$(cat "$work/url")"
END
    (
        umask "$mask"
        exec curl --config "$work/curl.get" --silent --show-error --fail --continue-at - --output "$part" \
            --dump-header "$work/head" --write-out '%{http_code}' --connect-timeout 20 --speed-limit 1 --speed-time 120
    ) >"$work/said.get" || :
    status=$(cat "$work/said.get")
}

tries=0
if [ "$size" -eq 0 ]; then
    (umask "$mask" && : >"$part")
fi
while have=$(size_of "$part") && [ "$have" -lt "$size" ]; do
    fetch
    if [ "$status" = 403 ]; then
        sign_again
    fi
    if [ "$(size_of "$part")" -gt "$have" ]; then
        tries=0
    else
        tries=$((tries + 1))
        [ "$tries" -lt 6 ] || fail 1 "Nothing gets through (HTTP $status). The same command goes on where this one ends."
        sleep "$tries"
    fi
done
[ "$have" -eq "$size" ] || fail 1 "$part has $have bytes, not $size: remove it and try again."

# The MD5 of a file, or of the MD5s of its parts, as S3 makes its ETags of them.
etag_of() {
    case $1 in
    *-*)
        block=$(block_for "$part_size")
        skip=0
        while [ "$skip" -lt "$size" ]; do
            dd if="$part" bs="$block" skip="$((skip / block))" count="$((part_size / block))" 2>/dev/null |
                openssl dgst -md5 -binary
            skip=$((skip + part_size))
        done | openssl dgst -md5 | sed -e 's/.*= *//' -e "s/\$/-${1#*-}/"
        ;;
    *) openssl dgst -md5 <"$part" | sed 's/.*= *//' ;;
    esac
}

# Whether the ETag with which S3 sent it is made of MD5s, and of parts whose size is known.
is_provable() {
    has openssl && openssl dgst -md5 </dev/null >/dev/null 2>&1 || return 1
    ! grep -qi '^x-amz-server-side-encryption: *aws:kms' "$work/head" || return 1
    case $1 in
    *[!0-9a-f-]* | '') return 1 ;;
    *-*) [ "${part_size:-0}" -gt 0 ] ;;
    *) [ "${#1}" -eq 32 ] ;;
    esac
}

proof=size
if [ -f "$work/head" ] && is_provable "$etag"; then
    [ "$(etag_of "$etag")" = "$etag" ] || fail 1 "$part is damaged: its MD5 is not that of what was sent. Remove it."
    proof='size and MD5'
fi
mv -f -- "$part" "$local_file"
say "$local_file: $size bytes, proven by $proof"
