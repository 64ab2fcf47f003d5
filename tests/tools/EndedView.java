import java.io.IOException;
import java.net.Socket;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;

/**
 * What a Java program sees of connections that somebody else ends: a Socket that reads, one that writes more than the peer
 * takes, and a SocketChannel with a Selector. Prints "port N" when all are at it, and then what became of each.
 */
public class EndedView {
    interface Call {
        Object run() throws IOException;
    }

    private static final List<Object> peers = new ArrayList<>();

    private static Thread say(String name, Call call) {
        Thread thread = new Thread(() -> {
            String said;
            try {
                said = String.valueOf(call.run());
            } catch (IOException error) {
                said = error.getMessage();
            }
            synchronized (peers) {
                System.out.println(name + " " + said);
            }
        });
        thread.start();
        return thread;
    }

    private static int select(SocketChannel channel) throws IOException {
        channel.configureBlocking(false);
        Selector selector = Selector.open();
        channel.register(selector, SelectionKey.OP_READ);
        selector.select();
        return channel.read(ByteBuffer.allocate(100));
    }

    public static void main(String[] arguments) throws Exception {
        ServerSocketChannel listener = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", 0));
        int port = ((InetSocketAddress) listener.getLocalAddress()).getPort();
        List<Socket> ends = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            peers.add(new Socket("127.0.0.1", port));
            ends.add(listener.accept().socket());
        }
        peers.add(new Socket("127.0.0.1", port));
        SocketChannel channel = listener.accept();
        List<Thread> threads = new ArrayList<>();
        threads.add(say("reader", () -> ends.get(0).getInputStream().read()));
        threads.add(say("writer", () -> {
            ends.get(1).getOutputStream().write(new byte[100000000]);
            return "written";
        }));
        threads.add(say("selector", () -> select(channel)));
        ((Socket) peers.get(1)).getInputStream().read();
        synchronized (peers) {
            System.out.println("port " + port);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        System.exit(0);
    }
}
