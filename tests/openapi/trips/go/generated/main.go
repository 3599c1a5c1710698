// A round trip with the client that OpenAPI Generator's `go` makes, with URL and key.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	made "trips/made_generated"
)

func check(right bool, what any) {
	if !right {
		panic(fmt.Sprintf("%+v", what))
	}
}

func refused(answer *http.Response, err error, status int) {
	check(err != nil && answer != nil && answer.StatusCode == status, err)
	problem, decoded := err.(*made.GenericOpenAPIError).Model().(made.Problem)
	check(decoded && problem.Status == int64(status) && problem.Code != "", err)
}

func main() {
	settings := made.NewConfiguration()
	settings.Servers = made.ServerConfigurations{{URL: os.Args[1]}}
	client := made.NewAPIClient(settings)
	ctx := context.WithValue(context.Background(), made.ContextAccessToken, os.Args[2])

	data := map[string]any{"id": "c4", "price": 1234567.89}
	told, _, err := client.EventsAPI.PublishEvent(ctx).NewEvent(*made.NewNewEvent("cars.sold", data)).Execute()
	check(err == nil, err)
	read, _, err := client.EventsAPI.GetEvent(ctx, told.Id).Execute()
	check(err == nil && read.Data["price"] == 1234567.89, read)
	fmt.Println("published")

	form := made.NewNewEndpoint("http://127.0.0.1:9/trip")
	form.SetEvents([]string{"cars.*"})
	form.SetRate(2.5)
	endpoint, _, err := client.EndpointsAPI.CreateEndpoint(ctx).NewEndpoint(*form).Execute()
	check(err == nil && endpoint.GetRate() == 2.5, err)
	fmt.Println("registered")

	fresh := made.NewRoomsNew("Go")
	fresh.SetFloor(61)
	fresh.SetRent(34567.89)
	room, _, err := client.RoomsAPI.RoomsCreate(ctx).RoomsNew(*fresh).Execute()
	check(err == nil && room.GetRent() == 34567.89 && room.GetKind() == "flat" && room.GetRevision() == 1, err)
	id := room.GetId()
	fmt.Println("created")

	list := client.RoomsAPI.RoomsList(ctx).FloorGte(61).FloorIn([]int64{61, 62}).NameStartsWith("Go").Limit(5)
	listed, _, err := list.Sort([]string{"-rent"}).Execute()
	check(err == nil && len(listed.Data) == 1 && listed.Data[0].GetId() == id, err)
	fmt.Println("listed")

	patch := made.NewRoomsPatch()
	patch.SetFloor(63)
	patch.SetRentNil()
	edited, _, err := client.RoomsAPI.RoomsEdit(ctx, id).RoomsPatch(*patch).Execute()
	check(err == nil && edited.GetFloor() == 63, err)
	fmt.Println("edited")

	_, answer, err := client.RoomsAPI.RoomsGet(ctx, "nothing").Execute()
	refused(answer, err, 404)
	wrong := made.NewRoomsPatch()
	wrong.SetBeside("nothing")
	_, answer, err = client.RoomsAPI.RoomsEdit(ctx, id).RoomsPatch(*wrong).Execute()
	refused(answer, err, 422)
	fmt.Println("refused")

	_, err = client.RoomsAPI.RoomsDelete(ctx, id).Execute()
	check(err == nil, err)
	fmt.Println("deleted")
}
