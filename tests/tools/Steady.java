import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.util.concurrent.atomic.AtomicLong;

/** steady.py in 500 threads: connects, reads a byte and closes, for as long as standard input is open. */
public class Steady {
    static final AtomicLong made = new AtomicLong();
    static final AtomicLong failed = new AtomicLong();
    static volatile IOException error;

    static void run(int port) {
        while (true) {
            try (Socket connection = new Socket("127.0.0.1", port)) {
                connection.getInputStream().read();
                made.incrementAndGet();
            } catch (IOException caught) {
                error = caught;
                failed.incrementAndGet();
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        for (int i = 0; i < 500; i++) {
            Thread thread = new Thread(null, () -> run(port), "client", 128 * 1024);
            thread.setDaemon(true);
            thread.start();
        }
        while (made.get() < 1000)
            Thread.sleep(1);
        System.out.println("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        while (lines.readLine() != null)
            System.out.println("made " + made + " failed " + failed + " " + (error == null ? "" : error));
    }
}
