// Purpose: a client in Go that says what it saw: sends a line and reads until the connection ends.
//
// Run, with the port of an echo server:
//
//	make examples
//	build/examples/go/echo-client PORT
//
// Expected output, from a server under fin and from one under rst:
//
//	12 bytes, then EOF
//	12 bytes, then ECONNRESET (Connection reset by peer)
package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"syscall"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: echo-client PORT")
	}
	connection, err := net.Dial("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	if _, err = connection.Write([]byte("hello, world")); err != nil {
		log.Fatal(err)
	}
	var reply bytes.Buffer
	_, err = reply.ReadFrom(connection)
	ending := "EOF"
	if errors.Is(err, syscall.ECONNRESET) {
		ending = "ECONNRESET (Connection reset by peer)"
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes, then %s\n", reply.Len(), ending)
}
