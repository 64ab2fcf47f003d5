// A peer with a TCP of its own, gVisor's netstack, which has 10.9.0.2 of a TUN device.
//
//	netstack DEVICE connect PORT WHEN
//	netstack DEVICE listen WHEN
//
// Connects to that port of 10.9.0.1, or listens at 10.9.0.2 and prints "port N"; knocks, and reads: at once, or
// when its TCP has the other end's FIN or RST (WHEN: once, FIN, RST). Prints "bytes=N" and how that ended.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/tun"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

func check(what string, problem interface{}) {
	if problem != nil {
		fmt.Println(what, problem)
		os.Exit(1)
	}
}

// 10.9.0.LAST. Whether tcpip.Address is a string or a struct changed between versions.
func address(last byte) tcpip.Address {
	packet := header.IPv4(make([]byte, header.IPv4MinimumSize))
	copy(packet[12:], []byte{10, 9, 0, last})
	return packet.SourceAddress()
}

func attach(device string) *stack.Stack {
	fd, err := tun.Open(device)
	check("open", err)
	link, err := fdbased.New(&fdbased.Options{FDs: []int{fd}, MTU: 1500})
	check("link", err)
	host := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if problem := host.CreateNIC(1, link); problem != nil {
		check("interface", problem)
	}
	if problem := host.AddProtocolAddress(1, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(2), PrefixLen: 24},
	}, stack.AddressProperties{}); problem != nil {
		check("address", problem)
	}
	host.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return host
}

// again calls what would block, for 30 s at most.
func again(call func() tcpip.Error) tcpip.Error {
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); runtime.Gosched() {
		switch problem := call(); problem.(type) {
		case *tcpip.ErrWouldBlock, *tcpip.ErrConnectStarted, *tcpip.ErrAlreadyConnecting:
		default:
			return problem
		}
	}
	return &tcpip.ErrTimeout{}
}

func connect(host *stack.Stack, port int) tcpip.Endpoint {
	var queue waiter.Queue
	end, problem := host.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if problem == nil {
		problem = again(func() tcpip.Error {
			return end.Connect(tcpip.FullAddress{NIC: 1, Addr: address(1), Port: uint16(port)})
		})
	}
	if _, connected := problem.(*tcpip.ErrAlreadyConnected); problem != nil && !connected {
		check("connect", problem)
	}
	return end
}

func accept(host *stack.Stack) tcpip.Endpoint {
	var queue waiter.Queue
	listener, problem := host.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if problem == nil {
		problem = listener.Bind(tcpip.FullAddress{NIC: 1, Addr: address(2)})
	}
	if problem == nil {
		problem = listener.Listen(1)
	}
	if problem != nil {
		check("listen", problem)
	}
	local, _ := listener.GetLocalAddress()
	fmt.Println("port", local.Port)
	var end tcpip.Endpoint
	if problem := again(func() (problem tcpip.Error) {
		end, _, problem = listener.Accept(nil)
		return problem
	}); problem != nil {
		check("accept", problem)
	}
	return end
}

func await(end tcpip.Endpoint, when string) {
	// A RST that follows a FIN leads to CLOSED, any other to an error.
	states := map[string][2]tcp.EndpointState{
		"FIN": {tcp.StateCloseWait, tcp.StateCloseWait}, "RST": {tcp.StateClose, tcp.StateError},
	}
	if awaited, late := states[when]; late {
		if problem := again(func() tcpip.Error {
			if state := tcp.EndpointState(end.State()); state == awaited[0] || state == awaited[1] {
				return nil
			}
			return &tcpip.ErrWouldBlock{}
		}); problem != nil {
			check("no "+when, problem)
		}
	}
}

func main() {
	host := attach(os.Args[1])
	var end tcpip.Endpoint
	if os.Args[2] == "connect" {
		port, _ := strconv.Atoi(os.Args[3])
		end = connect(host, port)
	} else {
		end = accept(host)
	}
	end.Write(bytes.NewReader([]byte("k")), tcpip.WriteOptions{})
	await(end, os.Args[len(os.Args)-1])
	var data bytes.Buffer
	problem := again(func() tcpip.Error {
		for {
			if _, problem := end.Read(&data, tcpip.ReadOptions{}); problem != nil {
				return problem
			}
		}
	})
	how := problem.String()
	switch problem.(type) {
	case *tcpip.ErrClosedForReceive:
		how = "EOF"
	case *tcpip.ErrConnectionReset:
		how = "ECONNRESET"
	}
	fmt.Printf("bytes=%d %s\n", data.Len(), how)
}
