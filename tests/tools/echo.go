// A Go server that knows nothing of SO_LINGER: echoes one read of each connection and closes it.
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
		go func() {
			data := make([]byte, 100)
			length, _ := connection.Read(data)
			connection.Write(data[:length])
			connection.Close()
		}()
	}
}
