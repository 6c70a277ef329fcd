// Command nulls3 is an S3 endpoint for measuring clients: it keeps no object, so that what a run costs is the client's.
//
// A bucket's name says what it holds. NAME-COUNT-SIZE lists COUNT objects of SIZE bytes under whatever prefix is asked
// for, and every GET serves SIZE bytes of one fixed pattern. A bucket whose name begins with "dst" lists as empty,
// whatever was written to it: HEAD still tells size and checksum of what was, and GET finds nothing. Checksums of type
// CRC64NVME are true for what is served and are echoed for what is received; signatures are not looked at.
//
// The first line on standard output is "listening HOST:PORT", so that a caller may ask for port 0.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// What has happened since the start; a benchmark reads it to see that the work was really done.
type counts struct {
	requests, objects, received, served, listed atomic.Int64
}

type server struct {
	pattern *pattern
	counts  counts
	written sync.Map // path of a written object to stored
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucketName, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucketName == "-" {
		s.writeCounts(w)
		return
	}
	s.counts.requests.Add(1)
	bucket := parseBucket(bucketName)
	switch {
	case r.Method == http.MethodPut && key == "":
		w.WriteHeader(http.StatusOK) // a bucket that is created is there already
	case r.Method == http.MethodPut:
		s.put(w, r)
	case r.Method == http.MethodPost:
		s.post(w, r, bucket, key)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodHead && key == "":
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodGet && key == "":
		s.bucketQuery(w, r, bucket)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		s.get(w, r, bucket)
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

func (s *server) writeCounts(w http.ResponseWriter) {
	c := &s.counts
	fmt.Fprintf(w, `{"requests":%d,"objects":%d,"received":%d,"served":%d,"listed":%d}`+"\n",
		c.requests.Load(), c.objects.Load(), c.received.Load(), c.served.Load(), c.listed.Load())
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, code)
}

func main() {
	address := flag.String("addr", "127.0.0.1:0", "address to listen on")
	certificate := flag.String("cert", "", "certificate chain; with -key the server speaks TLS")
	key := flag.String("key", "", "private key of the certificate")
	flag.Parse()

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	httpServer := &http.Server{
		Handler: &server{pattern: newPattern()},
		// S3 speaks HTTP/1.1; with HTTP/2 a Go client would put everything on one connection
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	if *certificate != "" {
		log.Fatal(httpServer.ServeTLS(listener, *certificate, *key))
	}
	log.Fatal(httpServer.Serve(listener))
}
