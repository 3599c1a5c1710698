import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.svix.Svix;
import com.svix.SvixOptions;
import com.svix.Webhook;
import com.svix.exceptions.ApiException;
import com.svix.models.AppPortalAccessIn;
import com.svix.models.ApplicationIn;
import com.svix.models.EndpointIn;
import com.svix.models.EndpointPatch;
import com.svix.models.EventTypeIn;
import com.svix.models.MessageIn;
import com.svix.models.MessageStatus;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Svix's SDK for Java against a server: `Judge URL KEY RECEIVER`. It prints each step that worked. After `sent` it reads
 * what the receiver got, as one line of JSON, and verifies it.
 */
public class Judge {
    static void is(boolean ok, Object what) {
        if (!ok) {
            throw new AssertionError("unexpected: " + what);
        }
    }

    public static void main(String[] args) throws Exception {
        SvixOptions options = new SvixOptions();
        options.setServerUrl(args[0]);
        Svix svix = new Svix(args[1], options);
        var app = svix.getApplication().create(new ApplicationIn().name("App"));
        is(svix.getApplication().get(app.getId()).getName().equals("App"), app);
        System.out.println("application");
        for (String name : List.of("event.started", "event.ended")) {
            try {
                svix.getEventType().create(new EventTypeIn().name(name).description("Something"));
            } catch (ApiException wrong) {
                is(wrong.getCode() == 409, wrong);
            }
        }
        System.out.println("event types");
        var both = Set.of("ch0", "ch1");
        var given = new EndpointIn().url(URI.create(args[2])).channels(both);
        var endpoint = svix.getEndpoint().create(app.getId(), given);
        is(endpoint.getChannels().equals(both) && endpoint.getFilterTypes() == null, endpoint);
        var types = Set.of("event.started", "event.ended");
        var patch = new EndpointPatch().filterTypes(types);
        var patched = svix.getEndpoint().patch(app.getId(), endpoint.getId(), patch);
        is(patched.getChannels().equals(both) && patched.getFilterTypes().equals(types), patched);
        System.out.println("endpoint");
        var sent = new MessageIn().eventType("event.started").payload("{\"amount\": 12.50}").channels(Set.of("ch1"));
        var message = svix.getMessage().create(app.getId(), sent);
        is(message.getChannels().equals(Set.of("ch1")), message);
        System.out.println("sent");
        JsonNode got = new ObjectMapper().readTree(new BufferedReader(new InputStreamReader(System.in)).readLine());
        Map<String, List<String>> headers = new HashMap<>();
        got.get("headers").fields().forEachRemaining(each -> headers.put(each.getKey(), List.of(each.getValue().asText())));
        String secret = svix.getEndpoint().getSecret(app.getId(), endpoint.getId()).getKey();
        new Webhook(secret).verify(got.get("body").asText(), HttpHeaders.of(headers, (name, value) -> true).map());
        System.out.println("verified");
        var attempts = svix.getMessageAttempt().listByMsg(app.getId(), message.getId()).getData();
        while (attempts.isEmpty()) {
            attempts = svix.getMessageAttempt().listByMsg(app.getId(), message.getId()).getData();
        }
        is(new ArrayList<>(attempts).get(0).getStatus() == MessageStatus.SUCCESS, attempts);
        System.out.println("attempts");
        var access = svix.getAuthentication().appPortalAccess(app.getId(), new AppPortalAccessIn());
        is(access.getUrl().toString().contains("/portal/"), access);
        System.out.println("portal");
        try {
            svix.getEndpoint().create(app.getId(), new EndpointIn().url(URI.create("nonsense")));
            is(false, "an endpoint");
        } catch (ApiException wrong) {
            is(wrong.getCode() == 422, wrong);
        }
        svix.getEndpoint().delete(app.getId(), endpoint.getId());
        svix.getApplication().delete(app.getId());
        System.out.println("deleted");
        System.exit(0);
    }
}
