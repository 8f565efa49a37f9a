import subprocess
import sys

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from api.http.offered_reads import offer_as_tool
from api.main import collect_tools
from api.mcp.toolbox import ToolSet
from tests.security.matrix import MATRIX, SCOPE_OF


@pytest.fixture(scope="module")
def tool_set() -> ToolSet:
    return collect_tools()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_route_that_may_change_something_is_no_tool(method: str) -> None:
    router = APIRouter()

    @router.api_route("/api/v1/codes/{code_id}/pause", methods=[method, "GET"], tags=["codes"], summary="Pause")
    @offer_as_tool()
    def pause(code_id: str) -> str:
        return code_id

    with pytest.raises(ValueError, match="only GET routes may be tools"):
        ToolSet.build(router.routes)


def test_application_of_the_tools_has_no_other_route(tool_set: ToolSet) -> None:
    routes = [route for route in tool_set.app.routes if isinstance(route, APIRoute)]

    assert len(routes) == len(tool_set.app.routes) == len(tool_set.tools)
    assert {method for route in routes for method in route.methods or ()} == {"GET"}


def test_scopes_of_tools_are_those_of_their_routes(tool_set: ToolSet) -> None:
    """As the independent list of tests/security/matrix.py says, which says nothing of the tools that are no routes."""
    wrong = {
        tool.name: (tool.scopes, scope)
        for tool in tool_set.tools.values()
        if (route := f"GET {tool.path}") in MATRIX and tool.scopes != {scope := SCOPE_OF.get(route)}
    }

    assert wrong == {}
    for_any_key = {name for name, tool in tool_set.tools.items() if not tool.scopes}
    assert for_any_key == {"check_health", "list_problem_codes", "read_handbook"}


def test_tool_has_the_parameters_of_its_route_without_those_it_omits(tool_set: ToolSet) -> None:
    """A table of an answer is of no use to an assistant, so the tool has no `format`."""
    tool = tool_set.tools["codes_history"]

    assert list(tool.parameters) == ["code_id", "as_of", "after", "limit"]
    assert tool.required == ["code_id"]
    assert tool.input_schema["additionalProperties"] is False
    assert tool.parameters["code_id"]["description"] == "ID of the code."


def test_every_tool_says_what_it_does(tool_set: ToolSet) -> None:
    assert [tool.name for tool in tool_set.tools.values() if not (tool.title and tool.description)] == []


def test_library_of_the_protocol_is_loaded_with_the_first_question_only() -> None:
    """It takes more than a second and 18 MB, which processes that no assistant asks do not pay."""
    program = "import sys, api.main; sys.exit('mcp' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)
