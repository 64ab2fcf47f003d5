// A Go client that knows nothing of SO_LINGER: connects, reads one byte and closes, COUNT times to
// one address. Prints "connected N", why it stopped where that was too early, and the nanoseconds
// that connect() took on average.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	data := make([]byte, 1)
	made := 0
	var took time.Duration
	for ; made < count; made++ {
		begin := time.Now()
		connection, err := net.Dial("tcp", os.Args[1])
		took += time.Since(begin)
		if err != nil {
			fmt.Println(err)
			break
		}
		connection.Read(data)
		connection.Close()
	}
	fmt.Println("connected", made)
	fmt.Println("each", int(took)/max(made, 1))
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
