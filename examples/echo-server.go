// Purpose: a server in Go that does not know SO_LINGER: echoes one line of each connection and
// closes it. Like the one in C, but no preload reaches it: Go makes its own system calls.
//
// Run:
//
//	make examples
//	./linger run -m fin-rst -- build/examples/go/echo-server [PORT]
//
// Expected output, with a free port if none is given:
//
//	listening on 37125
package main

import (
	"fmt"
	"log"
	"net"
	"os"
)

func main() {
	port := "0"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go echo(connection)
	}
}

func echo(connection net.Conn) {
	defer connection.Close()
	line := make([]byte, 256)
	count, err := connection.Read(line)
	if err == nil {
		connection.Write(line[:count])
	}
}
