// A Go client that knows nothing of SO_LINGER: connects, reads one byte and closes, COUNT times to
// one address, or until standard input has a line or ends where COUNT is "-". Prints "connected N", why it stopped where that was too early, and the nanoseconds
// that connect() took on average.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

func main() {
	count, err := strconv.Atoi(os.Args[2])
	var ended int32
	if err != nil {
		count = 1 << 30
		go func() {
			os.Stdin.Read(make([]byte, 1))
			atomic.StoreInt32(&ended, 1)
		}()
	}
	data := make([]byte, 1)
	made := 0
	var took time.Duration
	for ; made < count && atomic.LoadInt32(&ended) == 0; made++ {
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
