import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.Collections;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** JSSE with all that it ever had, sends back what it gets, and renegotiates when it gets a zero alone. Arguments: CA, two ports (the second demands a certificate), PKCS #12 files. */
class TlsEchoServer {
  public static void main(String[] args) throws Exception {
    Security.setProperty("jdk.tls.disabledAlgorithms", "");
    Security.setProperty("jdk.certpath.disabledAlgorithms", "");
    char[] password = "x".toCharArray();
    KeyStore keys = KeyStore.getInstance("PKCS12");
    keys.load(null, null);
    for (String file : Arrays.copyOfRange(args, 3, args.length)) {
      KeyStore one = KeyStore.getInstance("PKCS12");
      one.load(new FileInputStream(file), password);
      for (String alias : Collections.list(one.aliases())) {
        keys.setKeyEntry(alias, one.getKey(alias, password), password, one.getCertificateChain(alias));
      }
    }
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    trusted.setCertificateEntry(
        "ca", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(args[0])));
    KeyManagerFactory own = KeyManagerFactory.getInstance("SunX509");
    own.init(keys, password);
    TrustManagerFactory others = TrustManagerFactory.getInstance("PKIX");
    others.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(own.getKeyManagers(), others.getTrustManagers(), null);
    new Thread(() -> serve(context, Integer.parseInt(args[2]), true)).start();
    serve(context, Integer.parseInt(args[1]), false);
  }

  static void serve(SSLContext context, int port, boolean demands) {
    try {
      SSLServerSocket server = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(port, 100);
      server.setEnabledProtocols(new String[] {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"});
      server.setEnabledCipherSuites(
          Arrays.stream(server.getSupportedCipherSuites())
              .filter(name -> !name.contains("anon") && !name.contains("NULL") && !name.contains("EXPORT"))
              .toArray(String[]::new));
      server.setNeedClientAuth(demands);
      SSLParameters parameters = server.getSSLParameters();
      parameters.setApplicationProtocols(new String[] {"lab/1"});
      server.setSSLParameters(parameters);
      while (true) {
        SSLSocket socket = (SSLSocket) server.accept();
        new Thread(() -> echo(socket)).start();
      }
    } catch (Exception error) {
      error.printStackTrace();
      System.exit(1);
    }
  }

  static void echo(SSLSocket socket) {
    try (socket) {
      byte[] buffer = new byte[20000];
      for (int n = socket.getInputStream().read(buffer); n > 0; n = socket.getInputStream().read(buffer)) {
        if (n == 1 && buffer[0] == 0) socket.startHandshake();
        socket.getOutputStream().write(buffer, 0, n);
      }
    } catch (Exception error) {
      System.err.println(error);
    }
  }
}
