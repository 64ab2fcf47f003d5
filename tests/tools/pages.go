// A Go HTTP server that knows nothing of SO_LINGER: each page is 100,000 bytes, or SIZE. The end of a page and
// the FIN are one packet (by TCP_CORK), so that no client closes at the same moment.
package main

import (
	"bytes"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
)

func cork(connection net.Conn, state http.ConnState) {
	if state == http.StateNew {
		raw, _ := connection.(*net.TCPConn).SyscallConn()
		raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) })
	}
}

func main() {
	size := 100000
	if len(os.Args) > 2 {
		size, _ = strconv.Atoi(os.Args[2])
	}
	page := bytes.Repeat([]byte("0123456789"), size/10)
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		writer.Header().Set("Content-Length", strconv.Itoa(len(page)))
		writer.Write(page)
	})
	server := http.Server{Addr: "127.0.0.1:" + os.Args[1], ConnState: cork}
	log.Fatal(server.ListenAndServe())
}
