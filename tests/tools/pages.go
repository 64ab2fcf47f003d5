// A Go HTTP server that knows nothing of SO_LINGER: each page is 100,000 bytes.
package main

import (
	"bytes"
	"log"
	"net/http"
	"os"
)

func main() {
	page := bytes.Repeat([]byte("0123456789"), 10000)
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		writer.Header().Set("Content-Length", "100000")
		writer.Write(page)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
