// What a Go program sees of connections that somebody else ends: one goroutine reads, one writes more than
// the peer takes. Prints "port N" when both are at it, and then what became of each.
package main

import (
	"fmt"
	"net"
)

func main() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close() // one that is not used any more would be closed by the collector
	said := make(chan string)
	var ends [2]net.Conn
	var peers [2]net.Conn
	for i := range ends {
		if peers[i], err = net.Dial("tcp4", listener.Addr().String()); err != nil {
			panic(err)
		}
		if ends[i], err = listener.Accept(); err != nil {
			panic(err)
		}
	}
	go func() {
		_, err := ends[0].Read(make([]byte, 100))
		said <- fmt.Sprint("reader ", err)
	}()
	go func() {
		_, err := ends[1].Write(make([]byte, 100000000))
		said <- fmt.Sprint("writer ", err)
	}()
	peers[1].Read(make([]byte, 1))
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	fmt.Println(<-said)
	fmt.Println(<-said)
	peers[0].Close()
}
