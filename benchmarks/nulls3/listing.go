package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

const (
	header    = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	namespace = `xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
	modified  = "2026-01-01T00:00:00.000Z"
	pageLimit = 1000
)

type bucket struct {
	name  string
	count int
	size  int64
	empty bool
}

func parseBucket(name string) bucket {
	b := bucket{name: name, empty: strings.HasPrefix(name, "dst")}
	if words := strings.Split(name, "-"); len(words) >= 3 {
		b.count, _ = strconv.Atoi(words[len(words)-2])
		b.size, _ = strconv.ParseInt(words[len(words)-1], 10, 64)
	}
	if b.empty {
		b.count = 0
	}
	return b
}

// Keys sort as their numbers do, because all numbers have the same width.
func keyAt(prefix string, number int) string {
	return fmt.Sprintf("%sobject-%09d", prefix, number)
}

type page struct {
	prefix     string
	first, end int
	truncated  bool
}

func (b bucket) page(prefix, after string, limit int) page {
	first := sort.Search(b.count, func(i int) bool { return keyAt(prefix, i) > after })
	end := min(first+limit, b.count)
	return page{prefix: prefix, first: first, end: end, truncated: end < b.count}
}

func firstOf(query url.Values, names ...string) string {
	for _, name := range names {
		if value := query.Get(name); value != "" {
			return value
		}
	}
	return ""
}

func (s *server) bucketQuery(w http.ResponseWriter, r *http.Request, b bucket) {
	query := r.URL.Query()
	w.Header().Set("Content-Type", "application/xml")
	if query.Has("location") {
		fmt.Fprintf(w, `%s<LocationConstraint %s/>`, header, namespace)
		return
	}
	if query.Has("uploads") {
		fmt.Fprintf(w, `%s<ListMultipartUploadsResult %s><Bucket>%s</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>`,
			header, namespace, b.name)
		return
	}
	limit := pageLimit
	if asked, err := strconv.Atoi(query.Get("max-keys")); err == nil {
		limit = min(max(asked, 0), pageLimit)
	}
	p := b.page(query.Get("prefix"), firstOf(query, "continuation-token", "start-after", "marker"), limit)
	s.counts.listed.Add(int64(p.end - p.first))
	w.Write(renderPage(b, p, query.Get("list-type") == "2", query.Get("encoding-type") == "url"))
}

func renderPage(b bucket, p page, second, encoded bool) []byte {
	text := func(key string) string {
		if encoded {
			return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
		}
		var out bytes.Buffer
		xml.EscapeText(&out, []byte(key)) // a bytes.Buffer does not fail
		return out.String()
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `%s<ListBucketResult %s><Name>%s</Name><Prefix>%s</Prefix><MaxKeys>%d</MaxKeys><IsTruncated>%t</IsTruncated>`,
		header, namespace, b.name, text(p.prefix), pageLimit, p.truncated)
	if encoded {
		out.WriteString(`<EncodingType>url</EncodingType>`)
	}
	if second {
		fmt.Fprintf(&out, `<KeyCount>%d</KeyCount>`, p.end-p.first)
	}
	if p.truncated && p.end > p.first {
		last := keyAt(p.prefix, p.end-1)
		if second {
			fmt.Fprintf(&out, `<NextContinuationToken>%s</NextContinuationToken>`, text(last))
		} else {
			fmt.Fprintf(&out, `<NextMarker>%s</NextMarker>`, text(last))
		}
	}
	tail := fmt.Sprintf(`</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>`,
		modified, etagOf(b.size), b.size)
	base := text(p.prefix)
	for number := p.first; number < p.end; number++ {
		out.WriteString(`<Contents><Key>`)
		out.WriteString(keyAt(base, number))
		out.WriteString(tail)
	}
	out.WriteString(`</ListBucketResult>`)
	return out.Bytes()
}
