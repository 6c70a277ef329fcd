package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	blockSize    = 1 << 20
	checksumName = "x-amz-checksum-crc64nvme"
	typeName     = "x-amz-checksum-type"
)

// The reversed polynomial of CRC-64/NVME; the package's own inversion before and after is what that CRC asks for.
var nvme = crc64.MakeTable(0x9a6c9329ac4bc9b5)

// Every object is the same random block, over and over: two servers hold the same bytes, and no client can compress them.
type pattern struct {
	block [blockSize]byte
	mutex sync.Mutex
	sums  map[int64]string
}

func newPattern() *pattern {
	p := &pattern{sums: map[int64]string{}}
	rand.New(rand.NewSource(1)).Read(p.block[:])
	return p
}

// checksum is the CRC64NVME of the first size bytes, as S3 writes it. Computed once a size: a benchmark asks for it
// before it starts the clock.
func (p *pattern) checksum(size int64) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if known, ok := p.sums[size]; ok {
		return known
	}
	var sum uint64
	for left := size; left > 0; left -= min(left, blockSize) {
		sum = crc64.Update(sum, nvme, p.block[:min(left, blockSize)])
	}
	p.sums[size] = base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum))
	return p.sums[size]
}

func (p *pattern) write(w io.Writer, from, length int64) (written int64, err error) {
	for written < length {
		start := (from + written) % blockSize
		n, err := w.Write(p.block[start:min(blockSize, start+length-written)])
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// etagOf has the form of a multipart object's ETag, so that no client takes it for the MD5 of the bytes.
func etagOf(size int64) string {
	return fmt.Sprintf("6e756c6c%024x-1", size)
}

func parseRange(text string, size int64) (from, length int64, ok bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	if !found {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from >= size {
		return 0, 0, false
	}
	to := size - 1
	if last != "" {
		if to, err = strconv.ParseInt(last, 10, 64); err != nil || to < from {
			return 0, 0, false
		}
	}
	return from, min(to, size-1) - from + 1, true
}

// stored is what a client may ask about an object that it wrote: its bytes are gone.
type stored struct {
	size     int64
	checksum string
}

func (s *server) remember(r *http.Request, size int64, checksum string) {
	s.counts.objects.Add(1)
	s.written.Store(r.URL.Path, stored{size, checksum})
}

func (s *server) headWritten(w http.ResponseWriter, r *http.Request) {
	found, ok := s.written.Load(r.URL.Path)
	if !ok || r.Method != http.MethodHead {
		fail(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	object := found.(stored)
	if object.checksum != "" && r.Header.Get("x-amz-checksum-mode") != "" {
		w.Header().Set(checksumName, object.checksum)
		w.Header().Set(typeName, "FULL_OBJECT")
	}
	describe(w.Header(), object.size, object.size)
}

func describe(h http.Header, size, length int64) {
	h.Set("ETag", `"`+etagOf(size)+`"`)
	h.Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "binary/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(length, 10))
}

func (s *server) get(w http.ResponseWriter, r *http.Request, b bucket) {
	if b.empty {
		s.headWritten(w, r)
		return
	}
	etag := `"` + etagOf(b.size) + `"`
	if match := r.Header.Get("If-Match"); match != "" && match != etag && match != "*" {
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	h := w.Header()
	from, length, status := int64(0), b.size, http.StatusOK
	if asked := r.Header.Get("Range"); asked != "" {
		var ok bool
		if from, length, ok = parseRange(asked, b.size); !ok {
			fail(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+length-1, b.size))
	} else if r.Header.Get("x-amz-checksum-mode") != "" {
		h.Set(checksumName, s.pattern.checksum(b.size))
		h.Set(typeName, "FULL_OBJECT")
	}
	describe(h, b.size, length)
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		written, _ := s.pattern.write(w, from, length) // a client that hangs up is the client's affair
		s.counts.served.Add(written)
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

func (s *server) discard(body io.Reader) error {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	for {
		n, err := body.Read(*buffer)
		s.counts.received.Add(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *server) put(w http.ResponseWriter, r *http.Request) {
	part := r.URL.Query().Has("partNumber")
	if source := r.Header.Get("x-amz-copy-source"); source != "" {
		s.copied(w, r, source, part)
		return
	}
	if err := s.discard(r.Body); err != nil {
		fail(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	sum := r.Header.Get(checksumName)
	if !part {
		s.remember(r, max(r.ContentLength, 0), sum)
	}
	if sum != "" {
		w.Header().Set(checksumName, sum)
		w.Header().Set(typeName, "FULL_OBJECT")
	}
	w.Header().Set("ETag", `"`+etagOf(max(r.ContentLength, 0))+`"`)
}

func (s *server) copied(w http.ResponseWriter, r *http.Request, source string, part bool) {
	path, err := url.PathUnescape(strings.TrimPrefix(source, "/"))
	if err != nil {
		fail(w, http.StatusBadRequest, "InvalidArgument")
		return
	}
	bucketName, _, _ := strings.Cut(path, "/")
	size := parseBucket(bucketName).size
	name, checksum := "CopyPartResult", ""
	if !part {
		sum := s.pattern.checksum(size)
		s.remember(r, size, sum)
		name, checksum = "CopyObjectResult", checksumElements(sum)
	}
	w.Header().Set("Content-Type", "application/xml")
	fmt.Fprintf(w, `%s<%s %s><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag>%s</%s>`,
		header, name, namespace, modified, etagOf(size), checksum, name)
}

func checksumElements(sum string) string {
	return `<ChecksumCRC64NVME>` + sum + `</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>`
}

func (s *server) post(w http.ResponseWriter, r *http.Request, b bucket, key string) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		fail(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	escaped := url.QueryEscape(key)
	switch query := r.URL.Query(); {
	case query.Has("uploads"):
		fmt.Fprintf(w, `%s<InitiateMultipartUploadResult %s><Bucket>%s</Bucket><Key>%s</Key><UploadId>upload-%d</UploadId></InitiateMultipartUploadResult>`,
			header, namespace, b.name, escaped, time.Now().UnixNano())
	case query.Has("uploadId"):
		// a client that does not tell the size learns none
		size, _ := strconv.ParseInt(r.Header.Get("x-amz-mp-object-size"), 10, 64)
		sum, checksum := r.Header.Get(checksumName), ""
		if sum != "" {
			checksum = checksumElements(sum)
		}
		s.remember(r, size, sum)
		fmt.Fprintf(w, `%s<CompleteMultipartUploadResult %s><Bucket>%s</Bucket><Key>%s</Key><ETag>&quot;%s&quot;</ETag>%s</CompleteMultipartUploadResult>`,
			header, namespace, b.name, escaped, etagOf(size), checksum)
	case query.Has("delete"):
		fmt.Fprintf(w, `%s<DeleteResult %s/>`, header, namespace)
	default:
		fail(w, http.StatusNotImplemented, "NotImplemented")
	}
}
