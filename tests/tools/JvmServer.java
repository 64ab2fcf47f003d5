import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

/** Echoes one read of each connection and closes it: `JvmServer socket|channel PORT`. */
public class JvmServer {
    public static void main(String[] arguments) throws Exception {
        InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[1]));
        if (arguments[0].equals("socket")) {
            sockets(address);
        } else {
            channels(address);
        }
    }

    private static void sockets(InetSocketAddress address) throws Exception {
        try (ServerSocket server = new ServerSocket()) {
            server.bind(address);
            while (true) {
                try (Socket socket = server.accept()) {
                    byte[] data = new byte[100];
                    int length = socket.getInputStream().read(data);
                    socket.getOutputStream().write(data, 0, length);
                }
            }
        }
    }

    private static void channels(InetSocketAddress address) throws Exception {
        try (ServerSocketChannel server = ServerSocketChannel.open().bind(address)) {
            while (true) {
                try (SocketChannel channel = server.accept()) {
                    ByteBuffer data = ByteBuffer.allocate(100);
                    channel.read(data);
                    channel.write(data.flip());
                }
            }
        }
    }
}
