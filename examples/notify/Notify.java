// Tells the sluice agent beside this application what happens (Java 16 or newer):
//   java Notify.java ready
//   java Notify.java failed the disk is full

import java.io.BufferedReader;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Objects;

public final class Notify {
    private static final String SOCKET = Objects.requireNonNullElse(
        System.getenv("SLUICE_NOTIFY_SOCKET"), "/run/sluice-agent/notify.sock");

    /** The agent did not take an event, and says why. */
    public static final class Refused extends IOException {
        Refused(String why) {
            super(why);
        }
    }

    /** Sends one event, such as "weight @www 50%"; returns what the agent says, for people. */
    public static String send(String event) throws IOException {
        // A line end in a cause would end the line.
        byte[] line = (event.replace('\n', ' ') + "\n").getBytes(StandardCharsets.UTF_8);
        try (SocketChannel agent = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            agent.connect(UnixDomainSocketAddress.of(SOCKET));
            ByteBuffer bytes = ByteBuffer.wrap(line);
            while (bytes.hasRemaining()) {
                agent.write(bytes);
            }
            BufferedReader answers =
                new BufferedReader(Channels.newReader(agent, StandardCharsets.UTF_8));
            String answer = Objects.requireNonNullElse(answers.readLine(), "error no answer");
            int blank = answer.indexOf(' ');
            if (!answer.startsWith("ok ")) {
                throw new Refused(answer.substring(blank + 1));
            }
            return answer.substring(blank + 1);
        }
    }

    public static void main(String[] words) {
        try {
            System.out.println("ok " + send(String.join(" ", words)));
        } catch (IOException error) {
            System.err.println("error " + error.getMessage());
            System.exit(1);
        }
    }
}
