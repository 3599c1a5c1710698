// A round trip with the client that OpenAPI Generator's `java` (library native) makes, with URL and key.

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.EndpointsApi;
import org.openapitools.client.api.EventsApi;
import org.openapitools.client.api.RoomsApi;
import org.openapitools.client.model.NewEvent;
import org.openapitools.client.model.NewEndpoint;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.RoomsNew;
import org.openapitools.client.model.RoomsPatch;

public class Trip {
  interface Call {
    void run() throws ApiException;
  }

  static final ObjectMapper MAPPER = ApiClient.createDefaultObjectMapper();

  static void check(boolean right, Object what) {
    if (!right) throw new IllegalStateException(String.valueOf(what));
  }

  static void refused(Call wrong, int status) throws Exception {
    try {
      wrong.run();
    } catch (ApiException error) {
      var problem = MAPPER.readValue(error.getResponseBody(), Problem.class);
      check(error.getCode() == status && problem.getStatus() == status, error);
      return;
    }
    throw new IllegalStateException("not refused with " + status);
  }

  public static void main(String[] arguments) throws Exception {
    var client = new ApiClient();
    client.updateBaseUri(arguments[0]);
    client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + arguments[1]));
    var events = new EventsApi(client);
    var rooms = new RoomsApi(client);

    var event = new NewEvent().type("cars.sold").data(Map.of("id", "c7", "price", 1234567.89));
    var told = events.publishEvent(event, null);
    check(told.getId() != null, told);
    System.out.println("published");
    var form = new NewEndpoint().url(java.net.URI.create("http://127.0.0.1:9/trip")).events(List.of("cars.*")).rate(2.5);
    var endpoint = new EndpointsApi(client).createEndpoint(form, null);
    check(endpoint.getRate() == 2.5, endpoint);
    System.out.println("registered");
    var room = rooms.roomsCreate(new RoomsNew().name("Java").floor(91L).rent(34567.89), null, null);
    check(room.getRent() == 34567.89 && room.getRevision() == 1, room);
    var id = room.getId();
    System.out.println("created");
    // A question, since the list has a parameter for each filter, and this client takes them all by their place.
    var listed = rooms.roomsAskByFloor(91L, "flat", null, null, null, List.of("-created"), 5, null);
    check(listed.getData().size() == 1 && listed.getData().get(0).getId().equals(id), listed);
    System.out.println("listed");
    var edited = rooms.roomsEdit(id, new RoomsPatch().floor(93L).rent(null), null, null, null);
    check(edited.getFloor() == 93 && edited.getRent() == null, edited);
    System.out.println("edited");
    refused(() -> rooms.roomsGet("nothing", null, null, null, null), 404);
    refused(() -> rooms.roomsEdit(id, new RoomsPatch().beside("nothing"), null, null, null), 422);
    System.out.println("refused");
    rooms.roomsDelete(id, null, null, null);
    System.out.println("deleted");
  }
}
