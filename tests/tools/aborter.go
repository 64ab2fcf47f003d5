// A Go server that aborts some of its connections itself: aborter PORT. A connection that begins
// with "a" is closed after SetLinger(0), any other as it is.
package main

import (
	"log"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		data := make([]byte, 1)
		connection.Read(data)
		connection.Write([]byte("hello"))
		if data[0] == 'a' {
			connection.(*net.TCPConn).SetLinger(0)
		}
		connection.Close()
	}
}
